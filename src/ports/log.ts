/** Structured log for the operator; each line says what happened, to which group, and what to do. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Log {
  write(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A log that adds `fields` to every line. */
  with(fields: Readonly<Record<string, unknown>>): Log;
}
