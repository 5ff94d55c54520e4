/** Every word of the page that looks the station over, as a type: a language that lacks one does not compile. */
import type { Check, Level } from '../preflight';

export interface ItWords {
  title: string;
  back: string;
  again: string;
  loading: string;
  notRead: { title: string; sentence: string };
  notYours: { title: string; sentence: string };
  /** How the whole station is: `3 of 12 need you`. */
  all(level: Level, toDo: number, findings: number): string;
  level: Record<Level, string>;
  check: Record<Check, string>;
  /** What to do about a finding that is not in order. */
  act: Record<Check, string>;
  more: string;
  fewer: string;
}
