/* Firmware in C, as a customer would write it, on the machine of whoever runs the tests.
 *
 * Usage: judge MODE PRODUCT FAMILY UID KEYS BLOCK   (UID, KEYS and BLOCK in hex)
 * Prints the answer and, where it is FLASHLINE_VALID, the code and the columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flashline.h"

static size_t from_hex(const char *text, uint8_t *bytes, size_t room)
{
    size_t count = strlen(text) / 2;
    if (count > room)
        exit(2);
    for (size_t at = 0; at < count; at++) {
        unsigned value;
        if (sscanf(text + 2 * at, "%2x", &value) != 1)
            exit(2);
        bytes[at] = (uint8_t)value;
    }
    return count;
}

int main(int argc, char **argv)
{
    static uint8_t uid[64], keys[64], block[8192];
    char code[FLASHLINE_POOL_CODE_ROOM] = "untouched";
    flashline_column columns[FLASHLINE_COLUMNS_MAX];
    size_t found = 0;
    int32_t answer;

    if (argc != 7)
        return 2;
    flashline_chip chip = {
        .product = argv[2],
        .family = argv[3],
        .uid = uid,
        .uid_bytes = from_hex(argv[4], uid, sizeof uid),
        .keys = keys,
    };
    if (from_hex(argv[5], keys, sizeof keys) != sizeof keys)
        return 2;
    size_t bytes = from_hex(argv[6], block, sizeof block);

    if (strcmp(argv[1], "ed25519") == 0)
        answer = flashline_check(block, bytes, &chip, code);
    else if (strcmp(argv[1], "hmac-sha256") == 0)
        answer = flashline_check_mac(block, bytes, &chip, code);
    else if (strcmp(argv[1], "pool") == 0)
        answer = flashline_check_pool(block, bytes, &chip, code, columns, FLASHLINE_COLUMNS_MAX,
                                      &found);
    else
        return 2;

    printf("%d %s\n", (int)answer, code);
    for (size_t at = 0; at < found; at++) {
        printf("%s ", columns[at].secret ? "secret" : "public");
        for (size_t byte = 0; byte < columns[at].count; byte++)
            printf("%02x", columns[at].bytes[byte]);
        printf("\n");
    }
    return 0;
}
