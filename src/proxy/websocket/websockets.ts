import type { Socket } from 'node:net';
import type { OnFault } from '../../observe/request-record.js';
import type { Exchange } from '../exchange.js';
import type { Overlay } from '../response-headers.js';
import { CLIENT_CLOSED, Interrupted } from '../upstream/interrupted.js';
import type { Upgrade } from '../upstream/request-head.js';
import { checkSwitch, writeSwitch } from './handshake.js';
import { Relay } from './relay.js';

/** A client's connection whose request asks for another protocol. */
export interface UpgradingConnection {
  /** Bytes that arrived after the request's head. */
  readonly early: Buffer;
  /**
   * Takes the connection from Node's HTTP server: no response can be written to it any more. Nothing was read
   * from it since the request's head.
   *
   * @returns undefined if it is closed
   */
  take(): Socket | undefined;
}

/** One allowed handshake. */
export interface Handshake {
  /** The connection that it arrived on. */
  readonly client: UpgradingConnection;
  /** The client's Sec-WebSocket-Key. */
  readonly key: string;
  /** When the credential expires, in seconds since 1970. */
  readonly expiresAt: number | undefined;
  /** Called when the WebSocket has closed; never called if the upstream did not accept it. */
  readonly onClose: () => void;
}

/** RFC 6455 §7.4.1: 1001, the endpoint, here scopegate, is going away. */
const GOING_AWAY = 1001;
/**
 * RFC 6455 §7.4.1: 1008, policy violation; here: the credential has expired or the greatest age is reached.
 */
const POLICY_VIOLATION = 1008;
/** The longest delay of a Node timer, in milliseconds. */
const MAX_DELAY = 2_147_483_647;

/**
 * The WebSockets of all upstreams. The upstream answers the handshake. After a 101, scopegate relays the
 * connection until a side closes it, the credential expires, the greatest age is reached, or the gateway
 * drains.
 */
export class WebSockets {
  readonly #maxAge: number;
  readonly #now: () => number;
  readonly #onFault: OnFault;
  readonly #relays = new Set<Relay>();
  #draining = false;

  /**
   * @param maxAge the longest that a WebSocket may stay open in milliseconds; 0 means no limit
   * @param now returns seconds since 1970
   * @param onFault called for each exception; each exception ended one connection
   */
  constructor(maxAge: number, now: () => number, onFault: OnFault) {
    this.#maxAge = maxAge;
    this.#now = now;
    this.#onFault = onFault;
  }

  /**
   * Builds the upgrade for the request to the upstream.
   *
   * @param overlay the fields that scopegate itself sets in the response
   * @param exchange handles every response except 101
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

  /** Closes every WebSocket. A WebSocket whose handshake is not complete is closed as soon as it is. */
  drain(): void {
    this.#draining = true;
    for (const relay of this.#relays) relay.close(GOING_AWAY, 'going away');
  }

  /** Destroys every WebSocket's connections. */
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
   * Closes a WebSocket when its credential expires or the greatest age is reached. No new decision is made in
   * between.
   *
   * @returns a function that cancels this
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
