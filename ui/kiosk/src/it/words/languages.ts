/** The page's words by language; the tags are those of the kiosk. */
import type { Language } from '../../words/languages';
import { en } from './en';
import { ja } from './ja';
import type { ItWords } from './words';
import { zh } from './zh';

export const IT_WORDS: Record<Language, ItWords> = { en, 'zh-Hans': zh, ja };
