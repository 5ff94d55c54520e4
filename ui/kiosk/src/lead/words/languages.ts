/** The lead's words by language; the tags are those of the kiosk. */
import type { Language } from '../../words/languages';
import { en } from './en';
import { ja } from './ja';
import type { LeadWords } from './words';
import { zh } from './zh';

export const LEAD_WORDS: Record<Language, LeadWords> = { en, 'zh-Hans': zh, ja };
