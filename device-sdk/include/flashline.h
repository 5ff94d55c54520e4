/* Flashline: was the chip this firmware runs on activated?
 *
 * Link libflashline.a (device-sdk/README.md says how it is built). Every function reads only what
 * you point to, writes only where you say, keeps no pointer, allocates nothing and holds no state.
 * The bytes are described in activation/FORMAT.md. */
#ifndef FLASHLINE_H
#define FLASHLINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a block, by mode. */
#define FLASHLINE_BLOCK_BYTES 288
#define FLASHLINE_MAC_BLOCK_BYTES 160
#define FLASHLINE_POOL_BLOCK_BYTES_MAX 4096

/* Room for an activation code and its NUL. */
#define FLASHLINE_CODE_ROOM 22
#define FLASHLINE_POOL_CODE_ROOM 65

/* Most columns of a credential. */
#define FLASHLINE_COLUMNS_MAX 16

/* Answers. */
#define FLASHLINE_VALID 0      /* this chip's own, proven block */
#define FLASHLINE_ABSENT (-1)  /* erased flash: never activated */
#define FLASHLINE_BAD_CALL (-2) /* a null pointer, or a text without an end or not UTF-8 */

/* Any other answer: something else lies there, and why it is not this chip's block. */
#define FLASHLINE_REFUSED_CLAIM 1       /* your product, family or UID is empty or too long */
#define FLASHLINE_REFUSED_SIZE 2        /* not the mode's number of bytes */
#define FLASHLINE_REFUSED_NOT_OURS 3    /* no block at all */
#define FLASHLINE_REFUSED_VERSION 4     /* a later version */
#define FLASHLINE_REFUSED_SCHEME 5      /* an unknown mode or signature scheme */
#define FLASHLINE_REFUSED_MALFORMED 6   /* a field has an impossible value */
#define FLASHLINE_REFUSED_PRODUCT 7     /* another product's */
#define FLASHLINE_REFUSED_FAMILY 8      /* another chip family's */
#define FLASHLINE_REFUSED_CHIP 9        /* another chip's */
#define FLASHLINE_REFUSED_CODE 10       /* not this chip's activation code */
#define FLASHLINE_REFUSED_QUOTA 11      /* more activations than were lent */
#define FLASHLINE_REFUSED_CERTIFICATE 12 /* not certified by your keys */
#define FLASHLINE_REFUSED_SIGNATURE 13  /* not signed by the certified station */
#define FLASHLINE_REFUSED_MODE 14       /* a block of another mode */
#define FLASHLINE_REFUSED_MAC 15        /* not made with your secrets */

/* Which chip a block is checked for. */
typedef struct flashline_chip {
    const char *product;    /* UTF-8, at most 64 bytes, ends with NUL */
    const char *family;     /* chip family in lower case ("nrf52"), at most 16 bytes, ends with NUL */
    const uint8_t *uid;     /* the unique id as it lies in the chip's memory */
    size_t uid_bytes;       /* 1 to 16 */
    const uint8_t *keys;    /* 64 bytes: current and next product key (flashline_check_mac:
                               secret); 32 zeros where there is none */
} flashline_chip;

/* Checks a block of mode ed25519. Costs some ten million instructions on a Cortex-M0 when the block
 * is this chip's: check at the first boot and after an update, and store a marker.
 * code: NULL, or FLASHLINE_CODE_ROOM bytes that get the activation code where the answer is
 * FLASHLINE_VALID; otherwise they are left alone. */
int32_t flashline_check(const uint8_t *block, size_t block_bytes, const flashline_chip *chip,
                        char *code);

/* Checks a block of mode hmac-sha256: a copy deterrent. Whoever reads the secret out of one chip or
 * one image can activate any chip. */
int32_t flashline_check_mac(const uint8_t *block, size_t block_bytes, const flashline_chip *chip,
                            char *code);

/* One column of a credential, in the pool's order. */
typedef struct flashline_column {
    const uint8_t *bytes;   /* in the block */
    size_t count;
    uint8_t secret;         /* 1: only the chip may hold it */
} flashline_column;

/* Checks a block of mode pool and finds its credential.
 * region: begins with the block and may be longer. code: NULL, or FLASHLINE_POOL_CODE_ROOM bytes.
 * columns: NULL, or room for columns_room of them. columns_found: NULL, or gets how many the
 * credential has. All three are written only where the answer is FLASHLINE_VALID. */
int32_t flashline_check_pool(const uint8_t *region, size_t region_bytes, const flashline_chip *chip,
                             char *code, flashline_column *columns, size_t columns_room,
                             size_t *columns_found);

#ifdef __cplusplus
}
#endif

#endif
