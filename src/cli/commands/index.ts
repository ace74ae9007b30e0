/** The verbs of tdmfctl: names, options and help. What a verb does is loaded when it is called. */
import { type Command, Option } from 'commander';
import { TdmfError } from '../../core/errors.js';
import type { ConfirmOptions } from '../confirm.js';
import type { CheckpointOptions } from './checkpoint.js';
import type { GroupOptions } from './group-options.js';
import type { OverrideOptions } from './override.js';
import type { RecoOptions } from './reco.js';

type SetExitCode = (code: number) => void;

const collect = (value: string, previous: string[] = []) => [...previous, value];

const repeated = (flags: string, description: string) =>
  new Option(flags, description).argParser<string[]>(collect);
const yesOption: readonly [string, string] = ['--yes', 'without asking, even when data is lost'];
const groupOption = (description: string) => repeated('-g, --group <list>', description);

export function describeVerbs(program: Command, setExitCode: SetExitCode): void {
  const home = () => program.opts<{ home: string }>().home;

  const verb = (name: string, description: string, parent = program) => {
    const command = parent.command(name).description(description);
    // Accepted behind the verb as well, where people type it.
    command.option('--home <dir>', 'the TDMF home');
    command.hook('preAction', (_, action) => {
      const own = action.opts<{ home?: string }>().home;
      if (own !== undefined) program.setOptionValue('home', own);
    });
    return command;
  };
  const groupVerb = (name: string, description: string) =>
    verb(name, description)
      .argument('[group...]', 'group numbers, lists or ranges')
      .addOption(groupOption('a group, list or range (1,3-5); may be repeated'))
      .option('-a, --all', 'all groups');

  verb('init', 'create the home: BAB size and pstore (manual: tdmfinit)')
    .option('-b, --bab <mb>', 'BAB size in MB')
    .option('-p, --pstore <path>', 'the pstore: a file or block device')
    .option('--port <port>', 'port of the link listener')
    .action(async (options) => {
      const { init } = await import('./init.js');
      setExitCode(await init(home(), options));
    });

  const config = verb('config', 'edit and show the groups (manual: Configuration Tool)');
  const configVerb = (name: string, description: string) => verb(name, description, config);
  configVerb('add-group <group>', 'write p###.cfg, and s###.cfg on a loopback configuration')
    .requiredOption('--primary <host>', 'the primary host')
    .requiredOption('--secondary <host:port>', 'the secondary host and its link port')
    .requiredOption('--journal <dir>', 'the journal directory on the secondary')
    .addOption(repeated('--device <name=data:mirror>', 'a device pair; may be repeated'))
    .option('--note <text>', 'a note', '')
    .option('--chaining', 'the mirror is a TDMF device of another group', false)
    .option('--cache <mode>', 'direct or writeback, for all devices of the group')
    .action(async (group: string, options) => {
      const { addGroup } = await import('./config.js');
      setExitCode(await addGroup(home(), group, options));
    });
  configVerb('show', 'print the groups of this host')
    .addOption(groupOption('a group, list or range'))
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { show } = await import('./config.js');
      setExitCode(await show(home(), options));
    });
  configVerb('check', 'check every configuration file').action(async () => {
    const { check } = await import('./config.js');
    setExitCode(await check(home()));
  });
  configVerb('export-secondary', 'print s###.cfg for the secondary')
    .addOption(groupOption('the group'))
    .action(async (options) => {
      const { exportSecondary } = await import('./config.js');
      setExitCode(await exportSecondary(home(), options));
    });

  groupVerb('start', 'start groups: their devices can be used (manual: tdmfstart)')
    .option('-b, --boot', 'the groups that ran before, or were stopped with stop -s')
    .action(async (groups: string[], options: GroupOptions & { boot?: true }) => {
      const { groupVerb: execute } = await import('./group-verb.js');
      const chosen = options.boot ? { ...options, all: true as const } : options;
      const args = options.boot ? { boot: true } : {};
      setExitCode(await execute(home(), 'start', groups, chosen, args));
    });
  groupVerb('stop', 'stop groups cleanly (manual: tdmfstop)')
    .option('-s, --restart', 'start -b, or the next tdmfd, starts them again')
    .option('--force', 'even when clients are connected to a device')
    .action(async (groups: string[], options: GroupOptions & { restart?: true; force?: true }) => {
      const { groupVerb: execute } = await import('./group-verb.js');
      const { restart = false, force = false } = options;
      setExitCode(await execute(home(), 'stop', groups, options, { restart, force }));
    });
  const simple: readonly (readonly [string, string])[] = [
    ['launchpmd', 'connect groups to their secondary (manual: tdmflaunchpmd)'],
    ['killpmd', 'disconnect groups (manual: tdmfkillpmd)'],
    ['killrefresh', 'end a running refresh (manual: tdmfkillrefresh)'],
    ['killbackfresh', 'end a backfresh (manual: tdmfkillbackfresh)'],
    [
      'killrmd',
      'on the secondary: end sessions; killpmd and launchpmd bring them back (manual: tdmfkillrmd)',
    ],
    [
      'adopt',
      'on the secondary: let another primary have the mirror (then launchrefresh -f there)',
    ],
    ['sync', 'flush and wait until everything written is on the mirror (manual: tdmfsync)'],
  ];
  for (const [name, description] of simple) {
    groupVerb(name, description).action(async (groups: string[], options: GroupOptions) => {
      const { groupVerb: execute } = await import('./group-verb.js');
      setExitCode(await execute(home(), name, groups, options, {}));
    });
  }
  groupVerb('launchrefresh', 'copy what differs to the mirror (manual: tdmflaunchrefresh)')
    .option('-f, --full', 'copy everything')
    .option('-c, --checksum', 'compare everything, copy what differs')
    .option('--wait', 'wait until it has finished')
    .option(...yesOption)
    .action(
      async (
        groups: string[],
        options: GroupOptions & ConfirmOptions & { full?: true; checksum?: true; wait?: true },
      ) => {
        const { launchRefresh } = await import('./launchrefresh.js');
        setExitCode(await launchRefresh(home(), groups, options));
      },
    );
  groupVerb(
    'launchbackfresh',
    'copy from the mirror what differs; nobody may use the devices (manual: tdmflaunchbackfresh)',
  )
    .option(...yesOption)
    .action(async (groups: string[], options: GroupOptions & ConfirmOptions) => {
      const { groupVerb: execute } = await import('./group-verb.js');
      setExitCode(await execute(home(), 'launchbackfresh', groups, options, {}));
    });
  groupVerb(
    'checkpoint',
    'a snapshot on the secondary that may be used, from either side (manual: tdmfcheckpoint)',
  )
    .usage('-g <list> -on | -off [-p | -s]')
    .option('--on', 'turn it on; also -on, or the word on')
    .option('--off', 'turn it off: the journal is applied; also -off, or the word off')
    .option('-p, --primary', 'as the primary, where this host is both')
    .option('-s, --secondary', 'as the secondary, where this host is both')
    .action(async (words: string[], options: CheckpointOptions) => {
      const { checkpoint } = await import('./checkpoint.js');
      setExitCode(await checkpoint(home(), words, options));
    });
  groupVerb('reco', 'on the secondary: hand the mirror to applications (manual: tdmfreco)')
    .option('-d, --deactivate', 'take it back: the primary may come again')
    .option('--force', 'even a mirror of which nobody knows that it is coherent')
    .option(...yesOption)
    .action(async (groups: string[], options: RecoOptions) => {
      const { reco } = await import('./reco.js');
      setExitCode(await reco(home(), groups, options));
    });
  groupVerb('override', 'force a mode, or empty the BAB into the map (manual: tdmfoverride)')
    .usage('-g <list> state <mode> | clear BAB')
    .option('--state <mode>', 'passthru, normal, tracking, refresh or backfresh')
    .option('--clear <what>', 'BAB: what was not sent is remembered in the map')
    .option(...yesOption)
    .action(async (words: string[], options: OverrideOptions) => {
      const { override } = await import('./override.js');
      setExitCode(await override(home(), words, options));
    });

  groupVerb('set', 'show tunables, or set them: set -g 1 SYNCMODE=Y (manual: tdmfset)')
    .option('--json', 'print JSON (schema tdmf.tunables/1)')
    .action(async (words: string[], options: GroupOptions & { json?: true }) => {
      const { set } = await import('./set.js');
      setExitCode(await set(home(), words, options));
    });
  groupVerb('info', 'print state and counters of groups (manual: tdmfinfo)')
    .option('--json', 'print JSON (schema tdmf.info/1)')
    .option('-v', 'print the version (manual: tdmfinfo -v)')
    .action(async (groups: string[], options: GroupOptions & { json?: true; v?: true }) => {
      if (options.v) {
        const { version } = await import('./version.js');
        return setExitCode(await version(home(), options));
      }
      const { info } = await import('./info.js');
      setExitCode(await info(home(), groups, options));
    });
  groupVerb('status', 'one line per group')
    .option('--json', 'print JSON (schema tdmf.status/1)')
    .action(async (groups: string[], options: GroupOptions & { json?: true }) => {
      const { status } = await import('./status.js');
      setExitCode(await status(home(), groups, options));
    });
  groupVerb('wait', 'wait until groups are normal, connected, drained or coherent')
    .requiredOption('--for <condition>', 'normal, connected, drained or coherent')
    .option('--timeout <seconds>', 'give up after this time (exit code 124)')
    .action(async (groups: string[], options: GroupOptions & { for: string; timeout?: string }) => {
      const { wait } = await import('./wait.js');
      setExitCode(await wait(home(), groups, options));
    });
  verb('events', 'print events; state changes, errors, progress')
    .option('-f, --follow', 'go on as they happen')
    .option('--since <seq>', 'begin behind this sequence number')
    .addOption(groupOption('a group, list or range'))
    .option('--json', 'one JSON object a line')
    .action(async (options) => {
      const { events } = await import('./events.js');
      setExitCode(await events(home(), options));
    });
  verb('version', 'print versions and the I/O core in use')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { version } = await import('./version.js');
      setExitCode(await version(home(), options));
    });

  for (const [name, description] of notBuilt) {
    verb(name, description)
      .helpGroup('Not in this version:')
      .argument('[words...]')
      .allowUnknownOption()
      .action(() => {
        throw new TdmfError('TDMF_MODE_NOT_YET', { what: name });
      });
  }
  for (const name of ['add-device', 'remove-device', 'set-mirror', 'remove-group']) {
    configVerb(name, 'not in this version: edit the file, then config check')
      .argument('[words...]')
      .allowUnknownOption()
      .action(() => {
        throw new TdmfError('TDMF_MODE_NOT_YET', { what: `config ${name}` });
      });
  }
}

/** Verbs of the contract that come later: they say so, and end with 4. */
const notBuilt: readonly (readonly [string, string])[] = [
  ['verify', 'compare primary and mirror'],
  ['attach', 'a kernel block device for a TDMF device'],
  ['detach', 'the end of it'],
  ['monitor', 'a screen with live values'],
  ['monitortool', 'the Monitor Tool'],
  ['configtool', 'the Configuration Tool'],
  ['chart', "draw a group's modes"],
  ['hostinfo', 'host names and addresses'],
  ['licinfo', 'licences'],
  ['debugcapture', 'collect what support needs'],
  ['completion', 'completion for shells'],
];
