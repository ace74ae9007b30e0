/** Breaches of the protocol, in the words of the mirror side. */
import { TdmfError } from '../core/errors.js';

/** `sequence` lets the primary see which entry was refused (Rule 48). */
export function broken(what: string, sequence?: number): TdmfError {
  return new TdmfError('TDMF_LINK_PROTOCOL', {
    what,
    ...(sequence !== undefined && { sequence }),
  });
}

export function gap(first: number, last: number): TdmfError {
  return broken(`${first} came after ${last}`, first);
}
