/**
 * From what was typed to a verb: the manual's command names (`tdmfinfo -g 0` is `tdmfctl info -g 0`),
 * its misprints, and `status` when no verb is named. Pure.
 */
import { basename } from 'node:path';

/** What the manual calls some commands here and there (manual decisions 21, 22). */
const misprints: Readonly<Record<string, string>> = {
  mfinfo: 'info',
  rec: 'reco',
};

/** The verb of a command name like `tdmfkillpmd` or `tdmkillpmd`; undefined for tdmfctl itself. */
export function verbOfName(name: string): string | undefined {
  const verb = /^(?:tdmf(?!ctl$|d$)|tdm(?!f))([a-z]+)$/.exec(
    name.replace(/\.(?:js|exe)$/, ''),
  )?.[1];
  return verb === undefined ? undefined : (misprints[verb] ?? verb);
}

/** The words for the parser: a verb first, then everything as it was typed. */
export function rewrite(argv: readonly string[]): string[] {
  const [, script = '', ...rest] = argv;
  const legacy = verbOfName(basename(script));
  if (legacy !== undefined) return spelledOut([legacy, ...rest], 0);
  const first = firstAfterHome(rest);
  const word = rest[first];
  if (word === '--version' || word === '-V') return ['version', ...without(rest)];
  if (word === undefined || (word.startsWith('-') && !/^(?:-h|--help)$/.test(word))) {
    return [...rest.slice(0, first), 'status', ...rest.slice(first)];
  }
  return spelledOut(rest, first);
}

/** `-on`, `-off`, `-state`, `-clear` of the manual are words, no bundles of letters. */
const longWords: Readonly<Record<string, readonly string[]>> = {
  checkpoint: ['-on', '-off'],
  override: ['-state', '-clear'],
};

function spelledOut(words: readonly string[], verbAt: number): string[] {
  const long = longWords[words[verbAt] ?? ''] ?? [];
  return words.map((word, index) => (index > verbAt && long.includes(word) ? `-${word}` : word));
}

function firstAfterHome(words: readonly string[]): number {
  let at = 0;
  while (words[at] === '--home' || words[at]?.startsWith('--home=')) {
    at += words[at] === '--home' ? 2 : 1;
  }
  return Math.min(at, words.length);
}

function without(words: readonly string[]): string[] {
  return words.filter((word) => word !== '-V' && word !== '--version');
}
