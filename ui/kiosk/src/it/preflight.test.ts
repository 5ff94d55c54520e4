import { describe, expect, it } from 'vitest';
import { toDo, worstFirst, type Finding } from './preflight';
import { IT_WORDS } from './words/languages';

const finding = (about: string, level: Finding['level']): Finding => ({ about, level, check: 'port', sentence: about });

describe('what a look over the station found', () => {
  it('begins with what stops work, and keeps the order of the slots', () => {
    const found = [finding('slot 1', 'ok'), finding('slot 2', 'warn'), finding('slot 3', 'fail'), finding('slot 4', 'fail')];
    expect(worstFirst(found).map(({ about }) => about)).toEqual(['slot 3', 'slot 4', 'slot 2', 'slot 1']);
    expect(toDo(found)).toBe(3);
    expect(found[0]?.about).toBe('slot 1');
  });

  it('says in every language how many need somebody', () => {
    for (const words of Object.values(IT_WORDS)) {
      expect(words.all('fail', 3, 12)).toMatch(/3/);
      expect(words.all('ok', 0, 12)).toMatch(/12/);
    }
  });
});
