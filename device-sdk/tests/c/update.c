/* An updater in C, as a customer would write it, on the machine of whoever runs the tests.
 *
 * Usage: update beside OLD PATCH NEW CHUNK      NEW is written whatever the answer is
 *        update over OLD PATCH NEW CUT          flash fails at operation CUT (0: never), then goes on
 * Prints the answer, the new image's bytes, and for `over` the states before, between and after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flashline_update.h"

#define PAGE 256u
#define AREA (1u << 20)

static uint8_t areas[4][AREA];
static uint32_t lengths[4];
static unsigned long operations, cut;

static uint32_t load(const char *path, uint8_t *into)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        exit(2);
    size_t count = fread(into, 1, AREA, file);
    fclose(file);
    return (uint32_t)count;
}

static void store(const char *path, const uint8_t *from, size_t count)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(from, 1, count, file) != count || fclose(file) != 0)
        exit(2);
}

/* Beside: area 0 is the old image, area 1 the new one. */
static int32_t read_old(void *context, uint32_t at, uint8_t *into, size_t count)
{
    (void)context;
    if (at + count > lengths[0])
        return -1;
    memcpy(into, areas[0] + at, count);
    return 0;
}

static int32_t read_new(void *context, uint32_t at, uint8_t *into, size_t count)
{
    (void)context;
    if (at + count > lengths[1])
        return -1;
    memcpy(into, areas[1] + at, count);
    return 0;
}

static int32_t write_new(void *context, uint32_t at, const uint8_t *bytes, size_t count)
{
    (void)context;
    if (at != lengths[1] || at + count > AREA)
        return -1;
    memcpy(areas[1] + at, bytes, count);
    lengths[1] += (uint32_t)count;
    return 0;
}

static int32_t flash_read(void *context, int32_t area, uint32_t at, uint8_t *into, size_t count)
{
    (void)context;
    memcpy(into, areas[area] + at, count);
    return 0;
}

static int32_t flash_erase(void *context, int32_t area, uint32_t page)
{
    (void)context;
    if (++operations == cut)
        return -1;
    memset(areas[area] + page * PAGE, 0xFF, PAGE);
    return 0;
}

static int32_t flash_program(void *context, int32_t area, uint32_t at, const uint8_t *bytes,
                             size_t count)
{
    (void)context;
    if (++operations == cut)
        return -1;
    for (size_t i = 0; i < count; i++)
        areas[area][at + i] &= bytes[i];
    return 0;
}

int main(int argc, char **argv)
{
    static flashline_delta delta;
    static uint8_t page[PAGE], patch[AREA];
    uint32_t new_bytes = 0;
    int32_t answer;

    if (argc != 6)
        return 2;
    lengths[0] = load(argv[2], areas[0]);
    unsigned long knob = strtoul(argv[5], NULL, 10);
    if (strcmp(argv[1], "beside") == 0) {
        uint32_t count = load(argv[3], patch);
        const flashline_images images = {
            .read_old = read_old,
            .read_new = read_new,
            .write_new = write_new,
            .old_bytes = lengths[0],
            .new_room = AREA,
        };
        answer = flashline_delta_begin(&delta, &images, page, sizeof page);
        for (uint32_t at = 0; answer == FLASHLINE_UPDATE_DONE && at < count; at += knob)
            answer = flashline_delta_feed(&delta, patch + at, knob < count - at ? knob : count - at);
        if (answer == FLASHLINE_UPDATE_DONE)
            answer = flashline_delta_finish(&delta, &new_bytes);
        store(argv[4], areas[1], lengths[1]);
        printf("%d %u\n", (int)answer, (unsigned)new_bytes);
        return 0;
    }

    const flashline_flash flash = {
        .read = flash_read,
        .erase = flash_erase,
        .program = flash_program,
    };
    const flashline_geometry geometry = {
        .page_bytes = PAGE,
        .image_pages = AREA / PAGE,
        .ring_pages = 4,
        .slots_pages = flashline_slots_pages(PAGE, 4),
        .patch_bytes = load(argv[3], areas[FLASHLINE_AREA_PATCH]),
    };
    memset(areas[FLASHLINE_AREA_SLOTS], 0xA5, AREA);
    int32_t before = flashline_update_state(&flash, &geometry), between = before;
    cut = knob;
    answer = flashline_update_in_place(&delta, &flash, &geometry, page, sizeof page, &new_bytes);
    if (cut != 0 && answer == FLASHLINE_UPDATE_FLASH) {
        between = flashline_update_state(&flash, &geometry);
        cut = 0;
        answer = flashline_update_in_place(&delta, &flash, &geometry, page, sizeof page, &new_bytes);
    }
    store(argv[4], areas[FLASHLINE_AREA_IMAGE], answer == FLASHLINE_UPDATE_DONE ? new_bytes
                                                                                : lengths[0]);
    printf("%d %u %d %d %d\n", (int)answer, (unsigned)new_bytes, (int)before, (int)between,
           (int)flashline_update_state(&flash, &geometry));
    return 0;
}
