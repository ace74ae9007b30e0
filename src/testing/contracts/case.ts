/** One sentence of a port's contract, and how to check it. Plain asserts; no test runner needed. */
export interface ContractCase {
  readonly title: string;
  run(): Promise<void>;
}
