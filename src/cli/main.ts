/**
 * `tdmfctl` and, by the name it is called under, the manual's commands (`tdmfinfo`, `tdmfstart` …).
 * Only this file and the chosen command are loaded: a verb answers in well under 300 ms.
 */
import { basename } from 'node:path';
import { Command, CommanderError } from 'commander';
import { defaultHomeDirectory } from '../config/home.js';
import { describeVerbs } from './commands/index.js';
import { exitCodes, printError } from './outcome.js';

/** Runs one command line and returns the exit code (design.md 2.3). */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = new Command('tdmfctl')
    .description('Control TDMF: mirror block devices with their write order kept.')
    .option('--home <dir>', 'the TDMF home', defaultHomeDirectory())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`tdmfctl: ${text.replace(/^error: /, '')}`),
    })
    .showHelpAfterError('See tdmfctl help.')
    .addHelpText('after', exitCodeHelp);
  describeVerbs(program, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(rewrite(argv), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    return printError(error);
  }
}

/** `tdmfinfo -g 0` is `tdmfctl info -g 0`; no verb at all is `status`. */
function rewrite(argv: readonly string[]): string[] {
  const [, script = '', ...rest] = argv;
  const name = basename(script).replace(/\.js$/, '');
  const legacy = /^tdmf(?!ctl|d$)(\w+)$/.exec(name)?.[1];
  if (legacy !== undefined) return [legacy, ...rest];
  const words = rest.filter((word, index) => !word.startsWith('-') && rest[index - 1] !== '--home');
  const asksForHelp = rest.some(
    (word) => word === '--help' || word === '-h' || word === '--version',
  );
  return words.length === 0 && !asksForHelp ? [...rest, 'status'] : rest;
}

const exitCodeHelp = `
Exit codes: 0 done · 1 failed · 2 usage · 3 tdmfd not reachable · 4 refused in this mode ·
5 some groups failed · 124 timed out`;
