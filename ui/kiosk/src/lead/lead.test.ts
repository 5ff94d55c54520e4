import { describe, expect, it } from 'vitest';
import { boardsPath, heat, heatColumns, hourChart, HOURS_SHOWN, percent, pText, stepsPath, timeChart } from './figures';
import { sampleFigures } from './samples';
import { LEAD_WORDS } from './words/languages';
import { LANGUAGE_TAGS } from '../words/languages';

describe('the figures a lead reads', () => {
  it('a share that is not everything never rounds to everything, nor to nothing', () => {
    const cases: [number | null, string][] = [
      [1, '100.0 %'],
      [0.99996, '99.9 %'],
      [0.00001, '0.1 %'],
      [0, '0.0 %'],
      [0.9659, '96.6 %'],
      [null, '–'],
    ];
    for (const [share, text] of cases) expect(percent(share)).toBe(text);
  });

  it('small p-values are bounded, not rounded to zero', () => {
    expect(pText(0.0000004)).toBe('p < 0.001');
    expect(pText(0.0421)).toBe('p = 0.042');
  });

  it('a listing asks for exactly its filter, and the file for the same', () => {
    expect(boardsPath('A&B', {})).toBe('/api/figures/visits?order=A%26B');
    expect(boardsPath('1', { slot: 3, trouble: 'F-10', before: 20 }, true)).toBe(
      '/api/figures/visits.csv?order=1&slot=3&trouble=F-10&before=20',
    );
  });

  it('every point and limit of the charts lies inside the box', () => {
    const figures = sampleFigures(16);
    const chart = hourChart(figures, 1000, 200);
    expect(chart?.points.length).toBe(9);
    for (const point of chart?.points ?? []) {
      for (const y of [point.y, point.up, point.low]) expect(y >= 0 && y <= 200).toBe(true);
    }
    expect(stepsPath(chart?.points ?? [], 1000, (point) => point.up).match(/H/g)?.length).toBe(9);
    const time = figures.flash_time;
    if (time == null) throw new Error('the sample has times');
    const times = timeChart(time, 12_000, 1000, 200);
    for (const point of times.points) expect(point.y >= 0 && point.y <= 200).toBe(true);
    expect(times.takt).toBeUndefined();
    expect(timeChart(time, 5000, 1000, 200).takt).toBeDefined();
  });

  it('a chart of hours shows the last day and leaves out hours without a first attempt', () => {
    const figures = sampleFigures(1);
    const hour = figures.hours[0];
    if (hour === undefined) throw new Error('the sample has hours');
    const many = Array.from({ length: 60 }, (_, index) => ({ ...hour, tried: index % 2, failed: 0 }));
    expect(hourChart({ ...figures, hours: many }, 1000, 200)?.points.length).toBe(HOURS_SHOWN);
    expect(hourChart({ ...figures, hours: [{ ...hour, tried: 0 }] }, 1000, 200)).toBeUndefined();
  });

  it('one failure is seen on the heat map, however many the darkest cell has', () => {
    expect([0, 1, 50, 100].map((count) => heat(count, 100))).toEqual([0, 1, 2, 4]);
    expect(heatColumns(sampleFigures(4))[0]).toBe('F-10');
  });

  it('every language names every step a visit can fail at', () => {
    const steps = Object.keys(LEAD_WORDS.en.steps);
    for (const tag of LANGUAGE_TAGS) expect(Object.keys(LEAD_WORDS[tag].steps)).toEqual(steps);
  });
});
