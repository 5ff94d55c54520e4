/**
 * The five sounds, made of tones by the browser itself: no file, no network.
 *
 * They differ in pitch, direction and number of tones, so that one is told from another in noise.
 */
import type { Sound } from './sounds';

interface Tone {
  hertz: number;
  /** Seconds from the sound's begin, and how long. */
  at: number;
  long: number;
  wave: OscillatorType;
}

export const TONES: Record<Sound, Tone[]> = {
  // Two tones that rise.
  pass: [
    { hertz: 659, at: 0, long: 0.11, wave: 'triangle' },
    { hertz: 988, at: 0.11, long: 0.2, wave: 'triangle' },
  ],
  // Two deep buzzes.
  fail: [
    { hertz: 175, at: 0, long: 0.22, wave: 'square' },
    { hertz: 147, at: 0.28, long: 0.34, wave: 'square' },
  ],
  // One high click.
  scan_accepted: [{ hertz: 1568, at: 0, long: 0.07, wave: 'sine' }],
  // Three quick tones that fall.
  scan_refused: [
    { hertz: 784, at: 0, long: 0.08, wave: 'sawtooth' },
    { hertz: 622, at: 0.1, long: 0.08, wave: 'sawtooth' },
    { hertz: 494, at: 0.2, long: 0.12, wave: 'sawtooth' },
  ],
  // High and low in turn.
  attention: [0, 1, 2, 3].map((n) => ({ hertz: n % 2 === 0 ? 1047 : 784, at: 0.16 * n, long: 0.13, wave: 'triangle' as const })),
};

let context: AudioContext | undefined;

/** Plays a sound; `level` is 0 to 100. A browser that is not allowed to, or has none, is silent. */
export async function play(sound: Sound, level: number): Promise<void> {
  try {
    context ??= new AudioContext();
    if (context.state !== 'running') await context.resume();
    const loudness = context.createGain();
    // Ears hear powers of loudness.
    loudness.gain.value = 0.5 * (level / 100) ** 2;
    loudness.connect(context.destination);
    const begin = context.currentTime + 0.01;
    for (const { hertz, at, long, wave } of TONES[sound]) {
      const tone = context.createOscillator();
      const swell = context.createGain();
      tone.type = wave;
      tone.frequency.value = hertz;
      // Without a swell every tone would click.
      swell.gain.setValueAtTime(0, begin + at);
      swell.gain.linearRampToValueAtTime(1, begin + at + 0.01);
      swell.gain.setValueAtTime(1, begin + at + long - 0.02);
      swell.gain.linearRampToValueAtTime(0, begin + at + long);
      tone.connect(swell).connect(loudness);
      tone.start(begin + at);
      tone.stop(begin + at + long);
    }
  } catch {
    // What it would have said is on the screen.
  }
}
