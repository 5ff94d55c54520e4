/**
 * The languages, and the choice of one.
 *
 * A worker's choice lasts until the page is opened anew; the station's hint decides the start.
 */
import { en } from './en';
import { ja } from './ja';
import type { Words } from './words';
import { zh } from './zh';

/** Language tags as they stand in `<html lang>`; fonts follow them. */
export const LANGUAGES = { en, 'zh-Hans': zh, ja } as const satisfies Record<string, Words>;
export type Language = keyof typeof LANGUAGES;
export const LANGUAGE_TAGS = Object.keys(LANGUAGES) as Language[];

/** The nearest language to a tag such as `zh-CN`; undefined for one the kiosk does not speak. */
export function languageFrom(tag: string | null | undefined): Language | undefined {
  switch (tag?.toLowerCase().split('-')[0]) {
    case 'en':
      return 'en';
    case 'zh':
      return 'zh-Hans';
    case 'ja':
      return 'ja';
    default:
      return undefined;
  }
}
