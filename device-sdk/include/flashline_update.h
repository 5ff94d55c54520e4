/* Flashline: firmware updates by patches, beside the old image or over it.
 *
 * Link libflashline.a (device-sdk/README.md says how it is built). Flash is reached through your
 * functions only; memory is yours: one flashline_delta and one page. Nothing is allocated. A patch is
 * described in delta/FORMAT.md; it proves nothing about who made it: check your release's signature
 * over it first. */
#ifndef FLASHLINE_UPDATE_H
#define FLASHLINE_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Answers. */
#define FLASHLINE_UPDATE_DONE 0
#define FLASHLINE_UPDATE_BAD_CALL (-2)   /* a null pointer, or memory at no multiple of 8 */
#define FLASHLINE_UPDATE_FOREIGN 20      /* not a patch */
#define FLASHLINE_UPDATE_VERSION 21      /* a later version */
#define FLASHLINE_UPDATE_ISA 22          /* an instruction set this library was built without */
#define FLASHLINE_UPDATE_LIMITS 23       /* a length or a count beyond the format */
#define FLASHLINE_UPDATE_OLD_LENGTH 24   /* for an old image of another length */
#define FLASHLINE_UPDATE_OLD_DIGEST 25   /* for another old image */
#define FLASHLINE_UPDATE_ROOM 26         /* the new image does not fit */
#define FLASHLINE_UPDATE_TRUNCATED 27    /* the patch ended early */
#define FLASHLINE_UPDATE_TRAILING 28     /* bytes follow the patch */
#define FLASHLINE_UPDATE_DAMAGED 29      /* the patch contradicts itself or its own sum */
#define FLASHLINE_UPDATE_NEW_DIGEST 30   /* what came out is not the new image: do not start it */
#define FLASHLINE_UPDATE_NO_PAGE 31      /* the page has no bytes */
#define FLASHLINE_UPDATE_FLASH 32        /* a function of yours failed, or flash kept something else */
#define FLASHLINE_UPDATE_NOT_IN_PLACE 33 /* the patch needs the old image beside the new one */
#define FLASHLINE_UPDATE_PAGE 34         /* for other pages */
#define FLASHLINE_UPDATE_RING 35         /* the ring is too small, or larger than 32 pages */
#define FLASHLINE_UPDATE_SLOTS 36        /* checkpoints do not fit */
#define FLASHLINE_UPDATE_OTHER 37        /* another update was begun and must be finished first */

/* Memory of an update. */
#define FLASHLINE_DELTA_BYTES 7552
typedef struct flashline_delta {
    uint64_t memory[FLASHLINE_DELTA_BYTES / 8];
} flashline_delta;

/* Both images. The functions answer 0, or anything else if the memory failed; offsets count from the
 * start of each image. write_new gets whole pages in ascending order, the last one maybe shorter. */
typedef struct flashline_images {
    void *context;
    int32_t (*read_old)(void *context, uint32_t at, uint8_t *into, size_t count);
    int32_t (*read_new)(void *context, uint32_t at, uint8_t *into, size_t count);
    int32_t (*write_new)(void *context, uint32_t at, const uint8_t *bytes, size_t count);
    uint32_t old_bytes;
    uint32_t new_room;
} flashline_images;

/* Old image + patch = new image, as the patch arrives: begin, feed any number of times, finish.
 * Nothing is written before the old image's digest was right. The new image is whole and right if
 * finish answers FLASHLINE_UPDATE_DONE, and only then. Do not move or touch delta and page between;
 * after a refusal every later call says the same, until begin is called again. */
int32_t flashline_delta_begin(flashline_delta *delta, const flashline_images *images, uint8_t *page,
                              size_t page_bytes);
int32_t flashline_delta_feed(flashline_delta *delta, const uint8_t *patch, size_t patch_bytes);
int32_t flashline_delta_finish(flashline_delta *delta, uint32_t *new_bytes);

/* Areas of flash in an update in place; offsets and pages count from the start of each. */
#define FLASHLINE_AREA_IMAGE 0 /* the old image, on its way to being the new one */
#define FLASHLINE_AREA_RING 1  /* pages kept for a while */
#define FLASHLINE_AREA_SLOTS 2 /* checkpoints */
#define FLASHLINE_AREA_PATCH 3 /* the whole patch; read only */

/* NOR flash. The functions answer 0, or anything else if the memory failed. program gets units of
 * 32 bytes into erased memory, each once after an erase. */
typedef struct flashline_flash {
    void *context;
    int32_t (*read)(void *context, int32_t area, uint32_t at, uint8_t *into, size_t count);
    int32_t (*erase)(void *context, int32_t area, uint32_t page);
    int32_t (*program)(void *context, int32_t area, uint32_t at, const uint8_t *bytes, size_t count);
} flashline_flash;

/* What the device set aside. */
typedef struct flashline_geometry {
    uint32_t page_bytes;  /* in every area, a power of two */
    uint32_t image_pages; /* room for the longer image */
    uint32_t ring_pages;  /* 1 to 32 */
    uint32_t slots_pages; /* flashline_slots_pages */
    uint32_t patch_bytes;
} flashline_geometry;

/* The new image over the old one. Begins an update, or goes on with it after a cut anywhere, and ends
 * it: call it again until it answers FLASHLINE_UPDATE_DONE. Nothing is erased before everything about
 * the patch and the old image was right. page has geometry->page_bytes bytes. */
int32_t flashline_update_in_place(flashline_delta *delta, const flashline_flash *flash,
                                  const flashline_geometry *geometry, uint8_t *page,
                                  size_t page_bytes, uint32_t *new_bytes);

/* For a bootloader; reads only. A negative number: FLASHLINE_UPDATE_BAD_CALL, or minus the number of a
 * geometry without room. */
#define FLASHLINE_STATE_UNTOUCHED 0 /* no update was ever begun */
#define FLASHLINE_STATE_BEGUN 1     /* do not start the image: go on with the update */
#define FLASHLINE_STATE_COMPLETE 2
int32_t flashline_update_state(const flashline_flash *flash, const flashline_geometry *geometry);

/* Pages that checkpoints need. */
uint32_t flashline_slots_pages(uint32_t page_bytes, uint32_t ring_pages);

#ifdef __cplusplus
}
#endif

#endif
