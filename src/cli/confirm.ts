/** Asking the operator at a terminal before something is lost; scripts say `--yes`. */
import { createInterface } from 'node:readline/promises';
import { printable } from './render.js';

export interface ConfirmOptions {
  readonly yes?: true;
}

/** Whether somebody sits there who can read the question and answer it. */
export function isTerminal(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** True for y and yes, and for nothing else. */
export async function agreed(group: number, loss: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`group ${group}: ${printable(loss)}. Go on? [y/N] `);
    return isYes(answer);
  } finally {
    lines.close();
  }
}

export function isYes(answer: string): boolean {
  return /^y(?:es)?$/i.test(answer.trim());
}
