/**
 * What the RMDs of a secondary ask main (the actor `supervisor`): things that concern more than one
 * session, or the world beside the sessions. Plain data.
 */
export type SupervisorQuestion =
  /** Ends an earlier session of the group; resolves when its I/O is done (Rules 22, 34). */
  | { readonly kind: 'rmd.admit'; readonly group: number; readonly session: string }
  /**
   * A checkpoint is on, its record durable, the mirrors let go: applications may have them. Runs the
   * hook post_on of this side; when that fails it is told, and the checkpoint stays on.
   */
  | { readonly kind: 'rmd.handOutMirrors'; readonly group: number; readonly session: string }
  /**
   * A checkpoint is to be taken off: runs the hook pre_off, and no client comes in from then on. Rejects
   * with TDMF_HOOK_*, TDMF_MIRROR_CLIENTS or TDMF_MIRROR_IN_USE; then nothing has changed.
   */
  | { readonly kind: 'rmd.releaseMirrors'; readonly group: number; readonly session: string };
