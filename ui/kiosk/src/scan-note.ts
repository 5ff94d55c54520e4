/** The last scan as the worker sees it: what was read and what became of it. */
import type { ScanKind, ScanRead } from './scan';
import type { ScanAnswer } from './view';
import type { StationWord, Words } from './words/words';

/** What is known of the last scan; words are added when it is drawn, so a language switch holds. */
export type LastScan =
  | { step: 'none' }
  | { step: 'refused'; read: Extract<ScanRead, { kind: 'refused' }> }
  | { step: 'sent'; text: string }
  | { step: 'answered'; kind: ScanKind; text: string; answer: ScanAnswer }
  | { step: 'unanswered'; text: string };

export interface ScanNote {
  tone: 'rest' | 'good' | 'odd';
  title: string;
  text: string;
}

/** How long a scan's fate stays on the screen. */
export const NOTE_MS = 8000;

export function scanNote(last: LastScan, words: Words): ScanNote {
  switch (last.step) {
    case 'none':
      return { tone: 'rest', title: words.scan.ready, text: '' };
    case 'refused':
      return { tone: 'odd', title: words.scan.refused[last.read.why], text: shown(last.read.text) };
    case 'sent':
      return { tone: 'rest', title: words.scan.sending, text: shown(last.text) };
    case 'answered': {
      const { answer, kind } = last;
      const text = shown(last.text);
      const said = isStationWord(answer.word, words) ? words.scan.answer[answer.word] : undefined;
      if (answer.accepted) return { tone: 'good', title: said ?? words.scan.accepted[kind], text };
      return { tone: 'odd', title: said ?? words.scan.notAccepted, text };
    }
    case 'unanswered':
      return { tone: 'odd', title: words.scan.noAnswer, text: shown(last.text) };
  }
}

/** A badge's text opens doors: it is never shown. */
function shown(text: string): string {
  return text.startsWith('OP:') ? '' : text;
}

/** A newer daemon may know more words than this page. */
function isStationWord(word: string, words: Words): word is StationWord {
  return Object.hasOwn(words.scan.answer, word);
}
