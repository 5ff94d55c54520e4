/**
 * How many pixels a millimetre has on this display.
 *
 * The daemon reads the display's EDID and writes the figure into the page; `?mm=` overrides it on
 * a desk. Unknown means the CSS reference pixel (96 to the inch).
 */
export const PX_PER_MM = 96 / 25.4;
/** From a 40" television to a telephone; anything else is a misread EDID. */
const [PX_PER_MM_MIN, PX_PER_MM_MAX] = [1.5, 16];

export function densityFrom(query: string, meta: string | null): number {
  for (const text of [new URLSearchParams(query).get('mm'), meta]) {
    const value = Number.parseFloat(text ?? '');
    if (value >= PX_PER_MM_MIN && value <= PX_PER_MM_MAX) return value;
  }
  return PX_PER_MM;
}

export function setDensity(page: Document, query: string): void {
  const meta = page.querySelector('meta[name="px-per-mm"]')?.getAttribute('content') ?? null;
  page.documentElement.style.setProperty('--mm', `${densityFrom(query, meta)}px`);
}
