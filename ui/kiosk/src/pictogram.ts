/**
 * A small black-and-white sign for a product and release, so that the right order is recognised
 * without reading and without colour. The same text gives the same sign on every station.
 */
export const PICTOGRAM_CELLS = 5;

/** Rows of cells, mirrored left to right. */
export function pictogramOf(text: string): boolean[][] {
  // FNV-1a, then one bit per cell of the left half and the middle.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  hash = (hash ^ (hash >>> 13)) >>> 0;
  const half = Math.ceil(PICTOGRAM_CELLS / 2);
  return Array.from({ length: PICTOGRAM_CELLS }, (_, row) =>
    Array.from({ length: PICTOGRAM_CELLS }, (_, column) => {
      const mirrored = column < half ? column : PICTOGRAM_CELLS - 1 - column;
      return ((hash >>> (row * half + mirrored)) & 1) === 1;
    }),
  );
}
