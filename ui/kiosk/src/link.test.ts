import { expect, test } from 'vitest';
import { hear, mustAsk, SILENCE_MS, START, type Link, type News } from './link';
import { sampleSlot, sampleView } from './samples';
import type { StationView } from './view';

function view(seq: number, more: Partial<StationView> = {}): StationView {
  return { ...sampleView([sampleSlot(1, 'pass'), sampleSlot(2, 'empty')]), seq, ...more };
}
const pushed = (seq: number, first = false, nowMs = 0): News => ({ what: 'pushed', view: view(seq), first, nowMs });
const answered = (seq: number, nowMs = 0): News => ({ what: 'answered', view: view(seq), nowMs });
const broken: News = { what: 'broken', reason: 'unreachable' };

function after(...news: News[]): Link {
  return news.reduce(hear, START);
}
function seqOf(link: Link): number | undefined {
  return link.phase === 'live' ? link.view.seq : undefined;
}

test('the last view pushed is the one that is shown', () => {
  expect(seqOf(after(pushed(1, true), pushed(2), pushed(3)))).toBe(3);
});

test('an answer overtaken by a push changes nothing but proves the station is there', () => {
  const link = after(pushed(5, true, 10), answered(4, 20));
  expect(seqOf(link)).toBe(5);
  expect(link).toMatchObject({ heardMs: 20 });
});

test('a restarted station may count from the beginning again', () => {
  expect(seqOf(after(pushed(900, true), broken, pushed(1, true)))).toBe(1);
  expect(seqOf(after(pushed(900, true), pushed(1, true)))).toBe(1);
});

test('in no order of news does a lost station leave a view behind', () => {
  const kinds: News[] = [pushed(1, true), pushed(2), answered(1), answered(3), broken];
  let orders = 0;
  const walk = (link: Link, depth: number): void => {
    if (depth === 0) return;
    for (const news of kinds) {
      const next = hear(link, news);
      orders += 1;
      if (news.what === 'broken') {
        expect(next.phase).toBe('lost');
        expect('view' in next).toBe(false);
      }
      walk(next, depth - 1);
    }
  };
  walk(START, 5);
  expect(orders).toBe(5 + 25 + 125 + 625 + 3125);
});

test('a lost station keeps the numbers of its slots, so that the screen keeps its shape', () => {
  expect(after(pushed(1, true), broken, broken)).toMatchObject({ phase: 'lost', slots: [1, 2] });
  expect(after(broken)).toMatchObject({ phase: 'lost', slots: [] });
});

test('a station of another API version is never drawn', () => {
  const news: News = { what: 'pushed', view: view(1, { api: 2 }), first: true, nowMs: 0 };
  expect(after(news)).toMatchObject({ phase: 'lost', reason: 'other_api' });
});

test('a silent station is asked, a talking or a lost one is not', () => {
  const live = after(pushed(1, true, 1000));
  expect(mustAsk(live, 1000 + SILENCE_MS - 1)).toBe(false);
  expect(mustAsk(live, 1000 + SILENCE_MS)).toBe(true);
  expect(mustAsk(after(pushed(1, true), broken), 1e9)).toBe(false);
  expect(mustAsk(START, 1e9)).toBe(false);
});
