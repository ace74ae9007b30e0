/**
 * The data fields of NBD options (specification, "Option types"): decoders that answer undefined
 * for anything malformed, so that the handshake has one place to say ERR_INVALID. Every length is
 * checked against what is really there before it is used (I12); strings must be UTF-8.
 */
import { stringBytesMax } from './constants.js';

export interface InfoRequest {
  readonly exportName: string;
  readonly infoTypes: readonly number[];
}

export interface ContextRequest {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** NBD_OPT_INFO and NBD_OPT_GO: length of name, name, count, information types. */
export function decodeInfoRequest(data: Uint8Array): InfoRequest | undefined {
  const fields = new Fields(data);
  const exportName = fields.string();
  const count = fields.uint16();
  if (exportName === undefined || count === undefined || fields.left !== 2 * count) return;
  return { exportName, infoTypes: Array.from({ length: count }, () => fields.uint16()!) };
}

/** NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT: name, count, queries. */
export function decodeContextRequest(data: Uint8Array): ContextRequest | undefined {
  const fields = new Fields(data);
  const exportName = fields.string();
  const count = fields.uint32();
  if (exportName === undefined || count === undefined) return;
  // Every query takes four bytes at least, so a count beyond that is a lie; no loop runs on it.
  if (count > fields.left / 4) return;
  const queries: string[] = [];
  for (let index = 0; index < count; index++) {
    const query = fields.string();
    if (query === undefined) return;
    queries.push(query);
  }
  return fields.left === 0 ? { exportName, queries } : undefined;
}

/** A string that is the whole of the data, as in NBD_OPT_EXPORT_NAME. */
export function decodeName(data: Uint8Array): string | undefined {
  if (data.length > stringBytesMax) return;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return;
  }
}

class Fields {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get left(): number {
    return this.#data.length - this.#at;
  }

  uint16(): number | undefined {
    if (this.left < 2) return;
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2);
  }

  uint32(): number | undefined {
    if (this.left < 4) return;
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  /** A 32-bit length and as many bytes. */
  string(): string | undefined {
    const length = this.uint32();
    if (length === undefined || length > this.left) return;
    this.#at += length;
    return decodeName(this.#data.subarray(this.#at - length, this.#at));
  }
}
