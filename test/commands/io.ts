import type { Io } from '../../src/commands/command.js';

/** An `Io` that keeps what is written. */
export class Recorder implements Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  stdout = '';
  stderr = '';

  constructor(environment: Readonly<Record<string, string | undefined>> = {}) {
    this.environment = environment;
  }

  out(text: string): void {
    this.stdout += text;
  }

  err(text: string): void {
    this.stderr += text;
  }
}
