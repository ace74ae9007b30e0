/**
 * Every failure the product can name. One table: code → what it means to the operator. The message
 * says what happened and why; `remedy` says what to do. docs/errors.md is checked against it both
 * ways. Errors cross threads and processes as plain data and are recognised by `code`, never by
 * `instanceof`.
 *
 * Kinds: `operating` is expected (disk full, link lost); `refusal` is a request that the present
 * state does not allow (exit code 4); `usage` is bad input (exit code 2).
 */

export type ErrorKind = 'operating' | 'refusal' | 'usage';

export interface ErrorRow {
  readonly kind: ErrorKind;
  /** What happened, with holes `{name}` filled from the details. */
  readonly message: string;
  /** What to do; a sentence for the operator. */
  readonly remedy: string;
  /** Whether trying the same again, unchanged, may succeed. */
  readonly retryable: boolean;
}

const row = (kind: ErrorKind, retryable: boolean, message: string, remedy: string): ErrorRow => ({
  kind,
  message,
  remedy,
  retryable,
});

// biome-ignore format: one row a line reads as a table
export const errorTable = {
  // devices
  TDMF_DEVICE_MISSING: row('operating', false, '{path} does not exist', "Check the path in the group's .cfg file."),
  TDMF_DEVICE_BUSY: row('operating', true, '{path} is in use by another owner', 'Stop the other TDMF, group or program that holds it.'),
  TDMF_DEVICE_PERMISSION: row('operating', false, 'no permission to open {path}', 'Run tdmfd as a user who may read and write it.'),
  TDMF_DEVICE_KIND: row('operating', false, '{path} is neither a block device nor a regular file', "Name a block device or a file in the group's .cfg file."),
  TDMF_DEVICE_FAILED: row('operating', true, '{path}: {operation} failed ({errno})', 'Check the disk and the kernel log.'),
  TDMF_DEVICE_SIZE: row('operating', false, '{path} has {actual} bytes, {expected} are needed', 'Use a device of at least that size.'),
  TDMF_DEVICE_ALIGNMENT: row('operating', false, '{path}: offset or length is not a multiple of {alignment}', 'Align the request, or set cache: writeback.'),
  // BAB
  TDMF_BAB_SHARE: row('refusal', false, 'the BAB cannot promise this group its share: {available} of {needed} bytes are left', 'Make the BAB larger with tdmfctl init -b, or stop another group.'),
  TDMF_BAB_FULL: row('operating', true, 'the BAB is full', 'Nothing is lost: changes are tracked. Make the BAB larger or the link faster.'),
  // link
  TDMF_LINK_REFUSED: row('operating', true, '{host}:{port} does not accept connections ({errno})', 'Start tdmfd on the secondary, or correct host and port.'),
  TDMF_LINK_LOST: row('operating', true, 'the connection to {peer} was lost ({why})', 'It is tried again by itself; check the network if it stays down.'),
  TDMF_LINK_TIMEOUT: row('operating', true, '{peer} has not been heard for {seconds} s', 'It is tried again by itself; check the network if it stays down.'),
  TDMF_LINK_KEY: row('operating', true, '{peer} did not accept the key of this group', 'Copy the p###.cfg of the primary to the secondary as s###.cfg (tdmfctl config export-secondary).'),
  TDMF_LINK_PROTOCOL: row('operating', true, 'the peer broke the protocol: {what}', 'Report this; both sides should run the same version.'),
  TDMF_LINK_VERSION: row('operating', false, 'the peer speaks protocol version {theirs}, this side {ours}', 'Install the same version on both sides.'),
  TDMF_LINK_CLOSED: row('operating', true, 'the connection was closed by this side', 'Nothing to do.'),
  TDMF_LINK_REPLACED: row('operating', true, 'a newer connection of the same primary took over', 'Nothing to do.'),
  TDMF_LINK_FLOOD: row('operating', true, 'too many handshakes in progress', 'It is tried again by itself.'),
  // what the RMD refuses
  TDMF_RMD_SIZE: row('operating', false, 'the mirror {path} has {actual} bytes, its local partner {expected}', 'Use a mirror at least as large as the local device.'),
  TDMF_RMD_MIRROR: row('operating', false, 'the mirror {path} cannot be opened ({why})', 'Correct the path in s###.cfg on the secondary, or free the device.'),
  TDMF_RMD_OTHER_MIRROR: row('operating', false, '{path} is not the mirror that was refreshed', 'Correct the path in s###.cfg on the secondary, or run launchrefresh -f on the primary to fill this one.'),
  TDMF_RMD_JOURNAL_MISSING: row('operating', false, 'the journal directory {path} does not exist on the secondary', 'Make the directory, or correct s###.cfg.'),
  TDMF_RMD_OWNED: row('operating', false, 'the mirror belongs to another primary ({owner})', 'Check the configuration. If this primary shall have the mirror, run tdmfctl adopt on the secondary, then launchrefresh -f here.'),
  TDMF_RMD_OFF: row('operating', false, 's{group}.off: the mirror was handed to applications by reco', 'Run tdmfctl reco -d on the secondary when they are done.'),
  TDMF_RMD_DEVICES: row('operating', false, 'the device lists of the two sides differ: {difference}', 'Copy the p###.cfg of the primary to the secondary again.'),
  TDMF_RMD_NO_GROUP: row('operating', false, 'the secondary has no s{group}.cfg', 'Run tdmfctl config export-secondary on the primary and copy the file.'),
  TDMF_RMD_SELF: row('operating', false, 'the peer is this very host, and the group is not a loopback configuration', 'Correct the secondary host.'),
  TDMF_RMD_BARRED: row('operating', false, 'the RMD was killed by the operator', 'Run killpmd and launchpmd to bring it back.'),
  TDMF_RMD_BUSY: row('operating', true, 'the I/O of the session before has not ended for {seconds} s', 'Check the disks of the mirror; it is tried again by itself.'),
  TDMF_RMD_FAILED: row('operating', true, 'the mirror side failed: {why}', 'Check the disk and the log of the secondary.'),
  // lineage
  TDMF_LINEAGE_NEVER: row('refusal', false, 'the mirror was never refreshed', 'Run tdmfctl launchrefresh -f.'),
  TDMF_LINEAGE_UNRELATED: row('refusal', false, 'the mirror has no history in common with this primary', 'Check the configuration; run launchrefresh -f to overwrite it.'),
  TDMF_LINEAGE_INCOHERENT: row('refusal', false, 'an earlier refresh of the mirror is unfinished, or it is damaged', 'Run tdmfctl launchrefresh -f, or -c.'),
  TDMF_LINEAGE_ROLLED_BACK: row('refusal', false, 'this primary is older than its mirror', 'Use backfresh to bring the newer data home, or launchrefresh -f to overwrite it.'),
  TDMF_LINEAGE_MIRROR_BEHIND: row('refusal', false, 'the mirror lost writes that it had acknowledged', 'Look for what happened to its disk; a checksum refresh mends it by itself.'),
  TDMF_LINEAGE_SPLIT: row('refusal', false, 'both sides changed since they were last equal: {here} here, on the mirror {there}', 'Decide which side to keep: launchrefresh keeps this one, launchbackfresh the other.'),
  TDMF_LINEAGE_NEWER: row('refusal', false, 'the mirror has changes of its own that this primary does not have: {there}', 'Bring them home with launchbackfresh, or overwrite them with launchrefresh -c.'),
  TDMF_LINEAGE_OLD: row('refusal', false, 'the mirror is from an older time than this primary tracks', 'Run tdmfctl launchrefresh -c.'),
  TDMF_LINEAGE_UNVERIFIED: row('refusal', false, 'others wrote to the mirror, or nobody has verified it', 'Run tdmfctl launchrefresh -c.'),
  TDMF_LINEAGE_UNTRACKED: row('refusal', false, 'changes of this primary were not tracked since the two sides were last equal', 'Run tdmfctl launchrefresh: it compares everything.'),
  // modes
  TDMF_MODE_REFUSED: row('refusal', false, '{event} is not possible in {mode}', 'See tdmfctl help and docs/modes.md.'),
  TDMF_MODE_NOT_YET: row('refusal', false, '{what} is not built yet', 'README.md says what this version does.'),
  TDMF_REFRESH_RUNNING: row('refusal', false, 'a refresh is already running', 'Wait for it, or run killrefresh first.'),
  TDMF_REFRESH_NOT_RUNNING: row('refusal', false, 'no refresh is running', 'Nothing to do.'),
  TDMF_PMD_RUNNING: row('refusal', false, 'the PMD is already running', 'Nothing to do.'),
  TDMF_PMD_NOT_RUNNING: row('refusal', false, 'the PMD is not running', 'Run tdmfctl launchpmd.'),
  TDMF_OVERRIDE_PMD: row('refusal', false, 'the PMD of the group runs, so its mode cannot be overridden', 'Run tdmfctl killpmd first.'),
  TDMF_BACKFRESH_RUNNING: row('refusal', false, 'a backfresh is running', 'Wait for it, or run killbackfresh first.'),
  TDMF_BACKFRESH_NOT_RUNNING: row('refusal', false, 'no backfresh is running', 'Nothing to do.'),
  TDMF_LOCAL_INCOHERENT: row('refusal', false, 'a backfresh was ended half way: the local devices are neither old nor new', 'Run tdmfctl launchbackfresh again; or killpmd and override state passthru, to use them as they are.'),
  TDMF_UNVERIFIED: row('operating', false, 'the group was put into NORMAL, and nobody has proven the mirror equal', 'Run tdmfctl launchrefresh -c to prove it.'),
  TDMF_UNCLEAN_START: row('operating', false, 'the group was not stopped cleanly: what may differ from the mirror is compared', 'A smart refresh brings the mirror back; run tdmfctl launchrefresh if none begins.'),
  // reco and checkpoint
  TDMF_RECO_STATE: row('refusal', false, 'the mirror is {state}: {why}', 'If the primary lives, let it finish; if it is lost, run reco --force and check the data before it is used.'),
  TDMF_MIRROR_NOT_OUT: row('refusal', true, 'the mirror is not handed out', 'Turn a checkpoint on, or run reco; until then it belongs to the RMD.'),
  TDMF_MIRROR_IN_USE: row('refusal', true, '{path} is in use by {users}', 'Unmount it or end the program on the secondary first.'),
  TDMF_MIRROR_CLIENTS: row('refusal', true, 'the mirror still has {count} NBD connections', 'Close the clients on the secondary first.'),
  TDMF_CHECKPOINT_ON: row('refusal', false, 'a checkpoint is on, or about to be', 'Run tdmfctl checkpoint -off first.'),
  TDMF_CHECKPOINT_OFF: row('refusal', false, 'no checkpoint is on', 'Nothing to do.'),
  TDMF_CHECKPOINT_BUSY: row('refusal', true, 'the checkpoint is being turned on or off', 'Wait until tdmfctl info shows it on or off.'),
  TDMF_CHECKPOINT_LOST: row('operating', true, 'the checkpoint was cancelled before it became effective', 'Run tdmfctl checkpoint -on again when the group is in NORMAL.'),
  TDMF_CHECKPOINT_NO_SESSION: row('refusal', true, 'the primary is not connected, and it is the one who turns a checkpoint on or off', 'Try again when it is connected; if it is lost, reco hands the mirror out.'),
  TDMF_HOOK_FAILED: row('refusal', true, 'the hook {file} failed: {why}', 'Correct the program in the TDMF home, or remove it, and try again; its output is in the log of tdmfd.'),
  TDMF_HOOK_DENIED: row('refusal', true, 'the hook {file} is not executable', 'Run chmod +x on it in the TDMF home, or remove it.'),
  // groups and configuration
  TDMF_GROUP_UNKNOWN: row('usage', false, 'no such group', 'Run tdmfctl config show to see the groups.'),
  TDMF_GROUP_STARTED: row('refusal', false, 'the group is already started', 'Nothing to do.'),
  TDMF_GROUP_STOPPED: row('refusal', false, 'the group is not started', 'Run tdmfctl start.'),
  TDMF_GROUP_BUSY: row('refusal', true, 'the group still has {count} NBD connections', 'Close the clients, or stop with --force.'),
  TDMF_GROUP_EXISTS: row('refusal', false, '{file} exists already', 'Remove the file first, or use another number.'),
  TDMF_CONFIG_INVALID: row('usage', false, '{file}: {problem}', 'Correct the file and run tdmfctl config check.'),
  TDMF_CONFIG_OPEN: row('operating', false, '{file} holds a secret and others may read it (mode {mode})', 'Run chmod 600 on it; if others could read it, make a new group.'),
  TDMF_CONFIG_MISSING: row('usage', false, '{file} does not exist', 'Run tdmfctl config add-group.'),
  TDMF_TUNABLE_INVALID: row('usage', false, '{problem}', 'Run tdmfctl set -g N to see the tunables; docs/configuration.md says what they do.'),
  TDMF_TUNABLE_UNRECORDED: row('refusal', false, 'the group was never started: its file has the word on tunables', 'Set tunables: in p###.cfg, or start the group first.'),
  TDMF_CONFIRM: row('refusal', false, '{loss}', 'Say --yes if that is meant.'),
  TDMF_USAGE: row('usage', false, '{problem}', 'See tdmfctl help.'),
  // pstore
  TDMF_PSTORE_MISSING: row('operating', false, 'the pstore {path} does not exist', 'Correct pstore in tdmf.cfg, or run tdmfctl init to make a new one; then every group needs a full refresh.'),
  TDMF_PSTORE_PLACE: row('operating', false, 'no pstore can be made at {path}: its directory does not exist', 'Make the directory, or name another path with tdmfctl init -p.'),
  TDMF_PSTORE_DAMAGED: row('operating', false, 'the pstore {path} is damaged: {what}', 'Move it away (keep it for analysis) and run tdmfctl init; then every group needs a full refresh.'),
  TDMF_PSTORE_FOREIGN: row('operating', false, '{path} holds something that is no pstore; nothing was written to it', 'Name another path with tdmfctl init -p, or clear this one first (wipefs -a, blkdiscard -z, or dd from /dev/zero).'),
  TDMF_PSTORE_FAILED: row('operating', true, 'the pstore {path} cannot be written ({errno})', 'Check the disk; the group goes on tracking.'),
  TDMF_PSTORE_FULL: row('operating', false, 'the pstore {path} has no room for this group', 'Stop tdmfd and move it to a larger place with tdmfctl init -p.'),
  TDMF_PSTORE_VERSION: row('operating', false, 'the pstore {path} was written by a newer version ({version})', 'Install that version.'),
  TDMF_PSTORE_FORGOT: row('operating', false, 'the pstore knows nothing of this group: it was made anew', 'Nothing is mirrored yet; run tdmfctl launchrefresh -c, or -f.'),
  TDMF_PSTORE_MOVED: row('operating', false, 'the pstore {path} was moved elsewhere and is not used any more', 'Correct pstore in tdmf.cfg.'),
  TDMF_PSTORE_STALE: row('operating', false, 'the pstore {path} is older than the one that this home used last ({other})', 'Correct pstore in tdmf.cfg; it knows less than the mirrors have.'),
  TDMF_PSTORE_OTHER: row('operating', false, '{path} is a pstore of its own; nothing was written to it', 'Name another path with tdmfctl init -p; two pstores are never joined.'),
  TDMF_PSTORE_BUSY: row('operating', true, 'the pstore {path} is in use', 'Stop tdmfd, then run tdmfctl init -p again: a pstore moves while nobody uses it.'),
  TDMF_PSTORE_OLD: row('operating', false, 'the pstore {path} has the layout of an earlier version ({version})', 'Move it away and run tdmfctl init; then every group needs a full refresh.'),
  // journal
  TDMF_JOURNAL_DAMAGED: row('operating', false, 'the journal {path} is damaged: {what}', 'Run tdmfctl launchrefresh -f on the primary.'),
  TDMF_CHECKPOINT_STATE: row('refusal', true, 'the mirror is {state}, which is no checkpoint', 'Wait until it is coherent, and try again.'),
  TDMF_JOURNAL_FULL: row('operating', true, 'the journal directory {path} has no space', 'Free space on the secondary.'),
  // daemon
  TDMF_HOME_LOCKED: row('operating', true, 'another tdmfd runs in {home}', 'Stop it first, or use another --home.'),
  TDMF_HOME_MISSING: row('usage', false, '{home} is not a TDMF home', 'Run tdmfctl init, or name another with --home.'),
  TDMF_HOME_DENIED: row('operating', false, '{home} cannot be a TDMF home: {why}', 'Name a directory of its own with --home or TDMF_HOME.'),
  TDMF_DAEMON_UNREACHABLE: row('operating', true, 'tdmfd does not answer on {socket}', 'Start tdmfd on this home, or name another with --home.'),
  TDMF_DAEMON_FORBIDDEN: row('operating', false, 'this user may not talk to tdmfd on {socket}', 'Be the user who runs tdmfd, or name another --home.'),
  TDMF_DAEMON_GONE: row('operating', true, 'tdmfd ended', 'Start it again; events go on with --since and the last number seen.'),
  TDMF_DAEMON_STOPPING: row('refusal', false, 'tdmfd is stopping', 'Start it again.'),
  TDMF_PORT_BUSY: row('operating', true, 'port {port} is in use', 'Set another port in tdmf.cfg, or stop the program that holds it.'),
  TDMF_PORT_DENIED: row('operating', false, 'cannot listen on {address} port {port} ({errno})', 'Use an address of this host; ports below 1024 need the right to bind them.'),
  TDMF_NBD_SOCKET: row('operating', true, 'the NBD socket {path} cannot be used ({why})', 'Stop the program that uses it, or use another --home.'),
  TDMF_IO_URING: row('operating', false, 'io_uring is refused here ({errno})', 'Set io: threads, or allow io_uring.'),
  // runtime
  TDMF_ACTOR_GONE: row('operating', true, 'the actor {actor} has ended', 'It is restarted by itself.'),
  TDMF_ACTOR_BUSY: row('operating', true, '{actor} has no room for another question', 'Try again; look at tdmfctl status if it lasts.'),
  TDMF_ACTOR_PARKED: row('operating', false, '{actor} failed {count} times in a minute and is parked', 'See the log; tdmfctl stop and start the group.'),
  TDMF_HOST_CRASHED: row('operating', true, 'the host thread {host} crashed', 'It is restarted by itself; report the log.'),
  TDMF_TIMED_OUT: row('operating', true, '{what} did not happen within {seconds} s', 'Look at tdmfctl status.'),
  TDMF_INTERNAL: row('operating', false, 'a bug: {what}', 'Report this with the log.'),
} as const satisfies Record<string, ErrorRow>;

export type TdmfErrorCode = keyof typeof errorTable;
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

const brand = Symbol.for('tdmf.error');

export class TdmfError extends Error {
  override readonly name = 'TdmfError';
  readonly [brand] = true;
  readonly remedy: string;

  readonly code: TdmfErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: TdmfErrorCode,
    details: ErrorDetails = {},
    options: { readonly cause?: unknown } = {},
  ) {
    super(fillTemplate(errorTable[code].message, details), options);
    this.code = code;
    this.details = details;
    this.remedy = errorTable[code].remedy;
  }
}

/** Recognises a TdmfError from any thread, realm or process. */
export function isTdmfError(value: unknown): value is TdmfError {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    typeof value.code === 'string' &&
    value.code in errorTable
  );
}

/** An error as plain data, for rings, comlink and the control API; `code` and `cause` survive. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly details?: ErrorDetails;
  readonly stack?: string;
  readonly cause?: PlainError;
}

export function toPlainError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error) && !isTdmfError(error)) {
    return { name: 'Error', message: String(error) };
  }
  const { code, details } = error as { code?: unknown; details?: ErrorDetails };
  const cause = (error as Error).cause;
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' && { code }),
    ...(details !== undefined && { details }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(cause !== undefined && depth < 4 && { cause: toPlainError(cause, depth + 1) }),
  };
}

export function fromPlainError(plain: PlainError): Error {
  const cause = plain.cause === undefined ? {} : { cause: fromPlainError(plain.cause) };
  if (plain.code !== undefined && plain.code in errorTable) {
    return new TdmfError(plain.code as TdmfErrorCode, plain.details ?? {}, cause);
  }
  const error = new Error(plain.message, cause);
  error.name = plain.name;
  if (plain.code !== undefined) Object.assign(error, { code: plain.code });
  return error;
}

function fillTemplate(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'));
}
