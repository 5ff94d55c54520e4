/** The last scan as the worker sees it: what was read and what became of it. */
import type { ScannerView, ScanAnswer, ScanSeen } from './view';
import type { StationWord, Words } from './words/words';

/** What is known of the last scan; words are added when it is drawn, so a language switch holds. */
export type LastScan =
  | { step: 'none' }
  /** Its Enter never came. */
  | { step: 'half' }
  | { step: 'sent'; text: string }
  | { step: 'answered'; text: string; answer: ScanAnswer }
  | { step: 'unanswered'; text: string };

export interface ScanNote {
  tone: 'rest' | 'good' | 'odd';
  title: string;
  text: string;
}

/** How long a scan's fate stays on the screen. */
export const NOTE_MS = 8000;

/** `scanners`: the station's own, which may be unplugged; then nothing is ready. */
export function scanNote(last: LastScan, scanners: ScannerView[], words: Words): ScanNote {
  switch (last.step) {
    case 'none': {
      const gone = scanners.find((scanner) => scanner.trouble != null);
      if (gone?.trouble == null) return { tone: 'rest', title: words.scan.ready, text: '' };
      const { code, act } = gone.trouble;
      const text = `${words.code} ${code} · ${words.act[act].word}`;
      return { tone: 'odd', title: words.scan.gone(scanners.length > 1 ? gone.number : undefined), text };
    }
    case 'half':
      return { tone: 'odd', title: words.scan.answer.incomplete, text: '' };
    case 'sent':
      return { tone: 'rest', title: words.scan.sending, text: shown(last.text) };
    case 'answered': {
      const { answer } = last;
      const { kind, code } = answer;
      const said = isStationWord(answer.word, words) ? words.scan.answer[answer.word] : undefined;
      const { slot } = answer;
      const text = [slot == null ? '' : `${words.slot} ${slot}`, code == null ? '' : `${words.code} ${code}`, kind === 'operator' ? '' : shown(last.text)];
      return {
        tone: answer.accepted ? 'good' : answer.word === 'doubled' ? 'rest' : 'odd',
        title: said ?? (answer.accepted && kind != null ? words.scan.accepted[kind] : words.scan.notAccepted),
        text: text.filter((part) => part !== '').join(' · '),
      };
    }
    case 'unanswered':
      return { tone: 'odd', title: words.scan.noAnswer, text: shown(last.text) };
  }
}

/** A scan of the station's own scanners, as long as it is news. `ageMs`: how old the view is. */
export function scanSeen(seen: ScanSeen, ageMs: number): LastScan {
  if (seen.since_ms + ageMs >= NOTE_MS) return { step: 'none' };
  return { step: 'answered', text: seen.text ?? '', answer: seen.answer };
}

/** A badge's text opens doors: it is never shown, whatever stands before it. */
function shown(text: string): string {
  return text.includes('OP:') ? '' : text;
}

/** A newer daemon may know more words than this page. */
function isStationWord(word: string, words: Words): word is StationWord {
  return Object.hasOwn(words.scan.answer, word);
}
