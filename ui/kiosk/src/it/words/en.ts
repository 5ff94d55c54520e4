import type { ItWords } from './words';

export const en: ItWords = {
  title: 'Is the station ready?',
  back: 'Back to the line',
  again: 'Look again',
  loading: 'Looking the station over',
  notRead: { title: 'The station does not answer', sentence: 'Try again in a moment.' },
  notYours: { title: 'For IT', sentence: 'Badge in and enter the PIN first.' },
  all: (level, toDo, findings) => (level === 'ok' ? `Ready: all ${findings} are in order` : `${toDo} of ${findings} need you`),
  level: { ok: 'In order', warn: 'Look at it', fail: 'Stops work' },
  check: {
    usb_endpoints: 'USB controller', port: 'Port', disk: 'Disk', swap: 'Swap', tpm: 'TPM', clock: 'Clock', hub: 'Hub',
  },
  act: {
    usb_endpoints: 'Plug some of the probes into another controller.',
    port: 'Check the cable and the rights of the port.',
    disk: 'Make room on the disk.',
    swap: 'Turn swap off on this computer.',
    tpm: 'Turn the TPM on in the firmware settings, then seal the station secret.',
    clock: 'Connect the hub, or bring its time on a stick.',
    hub: 'Check the network cable and the address of the hub.',
  },
  more: 'Next',
  fewer: 'From the top',
};
