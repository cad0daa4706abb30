import type { Logger } from 'pino';
import type { FileState } from '../admin/troubles.js';
import { clientTlsOf, currentClientTls } from '../config/client-tls.js';
import type { RereadFiles } from '../config/reread.js';
import { rereadFilesOf } from '../config/reread-files.js';
import type { Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import { fileProblem } from '../model/file-error.js';

/** One group of files, and what was last said about it. */
interface Watched {
  readonly files: RereadFiles;
  renewals: number;
  /** In how many looks in a row it could not be read. */
  failures: number;
  /** When it could not be read for the first time, in seconds since 1970. */
  since: number;
}

/** A file that is missing for one look is about to be replaced; after so many looks it is in trouble. */
const LOOKS = 2;

/**
 * Watches the files of secrets, keys and certificates for calls. They are read again when they are used; this
 * class says in the log whether a change is in use, even if nothing uses them now.
 */
export class RereadFilesWatch {
  readonly #watched: readonly Watched[];
  readonly #clock: Clock;
  readonly #log: Logger;

  /** @throws Error if a file of the settings cannot be read any more */
  constructor(settings: Settings, clock: Clock, log: Logger) {
    this.#watched = filesOf(settings).map((files) => ({
      files,
      renewals: files.renewals,
      failures: 0,
      since: 0,
    }));
    this.#clock = clock;
    this.#log = log;
  }

  /** Looks at the files. It calls stat for each, and reads those that have changed. */
  sample(): void {
    for (const each of this.#watched) {
      const { files } = each;
      files.look();
      if (files.failure !== undefined) {
        if (each.failures === 0) each.since = this.#clock.wall();
        if (++each.failures === LOOKS)
          this.#log.warn(stateOf(each), 'file not read again: the old value stays in use');
      } else {
        each.failures = 0;
        if (files.renewals > each.renewals) this.#log.info({ file: files.names.join() }, 'file read again');
      }
      each.renewals = files.renewals;
    }
  }

  /** The files whose last change is not in use. */
  get failures(): FileState[] {
    return this.#watched.filter(({ failures }) => failures >= LOOKS).map(stateOf);
  }
}

function stateOf({ files, since }: Watched): FileState {
  return { file: files.names.join(), cause: fileProblem(files.failure), at: since };
}

function filesOf(settings: Settings): RereadFiles[] {
  const { introspection, forward } = settings;
  const tls = [introspection, ...introspection.servers].map((server) => server.tls);
  const called = [...tls, forward.tls, ...forward.tls.upstreams].map((files) =>
    currentClientTls(clientTlsOf(files)),
  );
  const found = new Map<string, RereadFiles>();
  for (const files of [...rereadFilesOf(settings), ...called.map((each) => each.files)]) {
    if (files.names.length > 0) found.set(files.names.join(), files);
  }
  return [...found.values()];
}
