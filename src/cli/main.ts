/**
 * `tdmfctl` and, by the name it is called under, the manual's commands (`tdmfinfo`, `tdmfstart` …).
 * Only this file and the chosen command are loaded: a verb answers in well under 300 ms.
 */
import { Command, CommanderError } from 'commander';
import { defaultHomeDirectory } from '../config/home.js';
import { rewrite } from './command-line.js';
import { describeVerbs } from './commands/index.js';
import { exitCodes, printError } from './outcome.js';
import { printable } from './render.js';

/** Runs one command line and returns the exit code (design.md 2.3). */
export async function run(argv: readonly string[]): Promise<number> {
  // `tdmfctl events | head`: a reader that has seen enough is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(exitCodes.done);
  });
  let exitCode: number = exitCodes.done;
  const program = new Command('tdmfctl')
    .description('Control TDMF: mirror block devices with their write order kept.')
    .option('--home <dir>', 'the TDMF home', defaultHomeDirectory())
    .helpCommand('help [verb]', 'what a verb does')
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({ outputError: (text, write) => write(usageLine(text)) })
    .addHelpText('after', helpEnd);
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

/** The parser's complaint in our one style of error lines. */
export function usageLine(text: string): string {
  const problem = printable(text.trim().replace(/^error: /, '')).replace(/\s+/g, ' ');
  return `tdmfctl: ${problem.replace(/\.$/, '')}. See tdmfctl help.\n`;
}

const helpEnd = `
Groups: -g 0, -g 1,3-5, -g 1 -g 7, -a for all, or a bare number. Without a verb: status.
The manual's names work too: tdmfinfo -g 0 is tdmfctl info -g 0.

Exit codes: 0 done · 1 failed · 2 usage · 3 tdmfd not reachable · 4 refused in this mode ·
5 some groups failed · 124 timed out`;
