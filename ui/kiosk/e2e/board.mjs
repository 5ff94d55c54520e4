/** The control port of a simulated board: one line out, one line back that begins with "ok". */
import { connect } from 'node:net';

export function tellBoard(control, command) {
  const at = control.lastIndexOf(':');
  return new Promise((done, fail) => {
    const socket = connect(Number(control.slice(at + 1)), control.slice(0, at));
    let answer = '';
    socket.setTimeout(10_000, () => socket.destroy(new Error(`${control} did not answer "${command}"`)));
    socket.on('error', fail);
    socket.on('data', (bytes) => {
      answer += bytes;
      if (!answer.includes('\n')) return;
      socket.end();
      const line = answer.slice(0, answer.indexOf('\n')).trim();
      if (line.startsWith('ok')) done(line);
      else fail(new Error(`${control} answered "${command}" with "${line}"`));
    });
    socket.on('close', () => fail(new Error(`${control} closed without answering "${command}"`)));
    socket.write(`${command}\n`);
  });
}
