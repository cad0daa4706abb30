import type { Socket } from 'node:net';
import type { OnFault } from '../../observe/request-record.js';
import { CLIENT_CLOSED, type Exchange } from '../exchange.js';
import type { Overlay } from '../response-headers.js';
import { Interrupted } from '../upstream/interrupted.js';
import type { Upgrade } from '../upstream/request-head.js';
import { checkSwitch, writeSwitch } from './handshake.js';
import { Relay } from './relay.js';

/** A client's connection on which another protocol was asked for. */
export interface UpgradingConnection {
  /** What came behind the request's head. */
  readonly early: Buffer;
  /**
   * Takes the connection from HTTP: no response can be written to it any more. Nothing of it has been read since the
   * request's head.
   *
   * @returns undefined where it is closed
   */
  take(): Socket | undefined;
}

/** One handshake that has been let through. */
export interface Handshake {
  /** The connection that it came on. */
  readonly client: UpgradingConnection;
  /** The client's Sec-WebSocket-Key. */
  readonly key: string;
  /** When the credential expires, in seconds since 1970. */
  readonly expiresAt: number | undefined;
  /** Called when the WebSocket is over; never where the upstream did not accept it. */
  readonly onClose: () => void;
}

/** RFC 6455 §7.4.1: 1001, an endpoint goes away; here: the gateway. */
const GOING_AWAY = 1001;
/** RFC 6455 §7.4.1: 1008, the connection goes against the policy; here: its credential or its time has ended. */
const POLICY_VIOLATION = 1008;
/** The longest delay a Node timer takes. */
const MAX_DELAY = 2_147_483_647;

/**
 * The WebSockets of all upstreams. The handshake is the upstream's to answer: what it answers with 101 is relayed from
 * there on, until either side leaves, the credential expires, the greatest age is reached, or the gateway drains.
 */
export class WebSockets {
  readonly #maxAge: number;
  readonly #now: () => number;
  readonly #onFault: OnFault;
  readonly #relays = new Set<Relay>();
  #draining = false;

  /**
   * @param maxAge the longest that one may last in milliseconds, 0 for ever
   * @param now seconds since 1970
   * @param onFault is told of exceptions, each of which ended one connection
   */
  constructor(maxAge: number, now: () => number, onFault: OnFault) {
    this.#maxAge = maxAge;
    this.#now = now;
    this.#onFault = onFault;
  }

  /**
   * What a handshake asks of the upstream.
   *
   * @param overlay what the gateway itself has to say in the answer
   * @param exchange the way of every answer but 101
   */
  upgrade(handshake: Handshake, overlay: Overlay, exchange: Exchange): Upgrade {
    return {
      protocol: 'websocket',
      accept: (head, upstream, early) => {
        const { client, key } = handshake;
        checkSwitch(head, key);
        const answer = writeSwitch(head, key, overlay);
        const socket = client.take();
        if (socket === undefined) throw new Interrupted(CLIENT_CLOSED);
        socket.write(answer, 'latin1');
        const relay = this.#relay(handshake, socket, upstream, early);
        exchange.onUpgrade();
        return (bytes) => relay.pass('upstream', bytes);
      },
    };
  }

  /** Ends every WebSocket, and those whose handshake is still under way as soon as it is done. */
  drain(): void {
    this.#draining = true;
    for (const relay of this.#relays) relay.close(GOING_AWAY, 'going away');
  }

  /** Cuts every WebSocket. */
  close(): void {
    for (const relay of this.#relays) relay.destroy();
  }

  #relay({ client, expiresAt, onClose }: Handshake, socket: Socket, upstream: Socket, early: Buffer): Relay {
    let endLife = (): void => {};
    const relay = new Relay(
      socket,
      upstream,
      (error) => this.#onFault('WebSocket relay', error),
      () => {
        this.#relays.delete(relay);
        endLife();
        onClose();
      },
    );
    this.#relays.add(relay);
    relay.open();
    if (this.#draining) relay.close(GOING_AWAY, 'going away');
    endLife = this.#limitLife(relay, expiresAt);
    relay.pass('upstream', early);
    relay.pass('client', client.early);
    return relay;
  }

  /**
   * Ends a WebSocket when its credential expires or its time is up: nothing decides about it again in between.
   *
   * @returns gives that up
   */
  #limitLife(relay: Relay, expiresAt: number | undefined): () => void {
    const maxAge = this.#maxAge > 0 ? this.#maxAge : Number.POSITIVE_INFINITY;
    const untilExpiry = expiresAt === undefined ? Number.POSITIVE_INFINITY : (expiresAt - this.#now()) * 1000;
    const end = performance.now() + Math.min(untilExpiry, maxAge);
    const reason = maxAge < untilExpiry ? 'maximum age' : 'token expired';
    let timer: NodeJS.Timeout | undefined;
    const look = (): void => {
      const left = end - performance.now();
      if (left > 0) timer = setTimeout(look, Math.min(Math.ceil(left), MAX_DELAY));
      else relay.close(POLICY_VIOLATION, reason);
    };
    if (end !== Number.POSITIVE_INFINITY) look();
    return () => clearTimeout(timer);
  }
}
