// SPDX-License-Identifier: PostgreSQL
// One stream for all tabs of a user. Who holds a lock leads: its stream is everybody's, its events
// have numbers, and go to the others over a channel. Without sharing, a tab stays alone with its
// own. What browsers do to hidden pages decides most of this: README.md, "One stream for all tabs".

import { keeper, type Kick } from './keeper.js';
import type { HeraldEvent, HeraldOptions, Status } from './types.js';

/** How far a tab is; kept over page loads with `resume`. */
export type Place = [
  /** The daemon's position after the last event. */
  id: string | undefined,
  /** The last event's number among the tabs, and which numbering it is of. */
  n: number,
  epoch?: number,
  /** Whose events these are. */
  user?: string,
];

/** What stands between the client and the stream, which is this tab's own or another's. */
export interface Link {
  /** Goes on from where it is. */
  start(): void;
  stop(): void;
  kick(how: Kick): void;
  place(): Place;
}

const enum Role {
  Alone,
  Follower,
  Leader,
}

/**
 * Say: how far the leader is; when it moves, with the event, and to one that has asked, with what
 * that one misses. Query: what do I miss, and are you alive?
 */
const enum Kind {
  Say,
  Query,
}

type Entry = [n: number, id: string, event: HeraldEvent];

type Letter = [
  kind: Kind,
  from: number,
  /** One that is meant, or 0. */
  to: number,
  /** Leaders have one each, higher than those before; what comes from a lower one is void. */
  term: number,
  place: Place,
  /**
   * Say: the event, or what the one that asked has missed, undefined where nobody knows any more.
   * Query: what makes another attempt worth it.
   */
  what?: Entry[] | Kick,
  status?: Partial<Status>,
  /** When the leader must have done something, in ms. */
  due?: number,
];

const enum Limit {
  /** Events that each tab keeps for the others. */
  Ring = 256,
  /** Silence after which the leader is asked whether it lives, in ms. */
  Quiet = 4000,
  Tick = 2000,
}

/** `onResync`: something was missed, or is somebody else's. */
export function tabs(
  o: HeraldOptions,
  shares: boolean,
  [id, n, epoch, user]: Place,
  onEvent: (event: HeraldEvent) => void,
  onStatus: (patch: Partial<Status>) => void,
  onResync: (reason: string) => void,
): Link {
  const locks = (shares && navigator.locks) as LockManager;
  const me = Math.random();

  let role = Role.Alone;
  let turn = 0; // of taking part: what an earlier one left pending is void
  let name = '';
  let channel: BroadcastChannel | undefined;
  let cancel: AbortController | undefined;
  let release: (() => void) | undefined;
  let ticker: ReturnType<typeof setInterval>;
  let ticked = 0;
  let term = 0;
  let heard = 0; // of the leader, in ms
  let asked = 0; // it, since when without an answer, in ms
  let ring: Entry[] = [];
  let shown: Partial<Status> = {};
  let echoed: (_?: unknown) => void;
  let held: [string, HeraldEvent?][] | undefined; // events of our stream while it is not known who leads

  const show = (patch: Partial<Status>) => onStatus(Object.assign(shown, patch));

  const place = (): Place => [id, n, epoch, user];

  const post = (kind: Kind, to = 0, what?: Entry[] | Kick) => {
    const letter: Letter = [kind, me, to, term, place(), what];
    if (to || !what) letter.push(shown, keep.due());
    channel?.postMessage(letter);
  };

  const query = (kick?: Kick) => {
    asked = Date.now();
    post(Kind.Query, 0, kick);
  };

  /** What comes after a place, or undefined when nobody knows. A new tab misses nothing. */
  const after = ([, theirs, of]: Place): Entry[] | undefined =>
    of ? (of == epoch && theirs <= n && n - theirs <= ring.length ? ring.filter((e) => e[0] > theirs) : undefined) : [];

  const take = (entry: Entry) => {
    if (entry[0] <= n) return;
    [n, id] = entry;
    ring.push(entry);
    if (ring.length > Limit.Ring) ring.shift();
    onEvent(entry[2]);
  };

  /** Goes to where the leader is: by what was missed, or by a resync. */
  const move = ([, , , , to, missed]: Letter) => {
    drop();
    if (missed) (missed as Entry[]).forEach(take);
    else {
      ring = [];
      onResync('tabs');
    }
    [id, n, epoch] = to;
  };

  const deliver = (position: string, event?: HeraldEvent) => {
    awake();
    if (held) held.push([position, event]);
    else if (event && role == Role.Leader) {
      const entry: Entry = [n + 1, position, event];
      // The others first: our own handlers may take their time.
      post(Kind.Say, 0, [entry]);
      take(entry);
    } else {
      id = position;
      if (event) onEvent(event);
      else post(Kind.Say);
    }
  };

  const flush = () => {
    const events = held!;
    held = undefined;
    events.forEach((e) => deliver(...e));
  };

  /** Of our own stream nothing is wanted any more. */
  const drop = () => {
    held = undefined;
    keep.stop();
  };

  /** After a pause somebody else may lead, and nothing tells us before the events are read. */
  const awake = async () => {
    const paused = Date.now() - ticked > Limit.Quiet - 1000;
    ticked = Date.now();
    if (paused && role == Role.Leader && !held) {
      held = [];
      // Whoever has lost the lock is told so before this is answered.
      await locks.query();
      if (role == Role.Leader) flush();
    }
  };

  const publish = (patch: Partial<Status>) => {
    // Refused: the next one tries with a token of its own.
    if (patch.state == 'failed') leave();
    show(patch);
    if (role == Role.Leader) post(Kind.Say);
  };

  /** The daemon has greeted our stream. */
  const greeted = (patch: Partial<Status>, position?: string) => {
    const before = user;
    user = patch.user;
    if (role == Role.Leader && user == before) return publish(patch);
    leave();
    id = position;
    if (before && user != before) {
      // A numbering of its own, or what this one was told in between would be an answer to somebody of before.
      epoch = undefined;
      ring = [];
      onResync('user');
    }
    if (shares && user) {
      held = [];
      Object.assign(shown, patch);
      enter();
    } else show({ ...patch, leader: true, shared: false }); // who does not know who it is hears nobody else
  };

  const keep = keeper(o, deliver, (patch, position) => (patch.state == 'open' ? greeted : publish)(patch, position));

  const leave = () => {
    turn++;
    term = 0;
    role = Role.Alone;
    held = undefined;
    clearInterval(ticker);
    cancel?.abort();
    if (release) release();
    channel?.close();
    channel = cancel = release = undefined;
  };

  const enter = () => {
    const before = name;
    name = `pgherald1 ${new URL(o.url, location.href)} ${user}`;
    // Another URL tells other events: what was numbered is not of its numbering.
    if (before && before != name) {
      epoch = Math.random();
      ring = [];
    }
    channel = new BroadcastChannel(name);
    channel.onmessage = (message) => receive(message.data);
    ticked = Date.now();
    ticker = setInterval(tick, Limit.Tick);
    lock({ ifAvailable: true });
  };

  /** Waits for the leader's word, and only then to be the next: who leads must know how far all are. */
  const follow = () => {
    role = Role.Follower;
    cancel = undefined;
    query();
    heard = asked;
  };

  const lock = (options: LockOptions) => {
    const mine = ++turn;
    const granted = (free: unknown) =>
      mine == turn &&
      (free
        ? new Promise<void>((done) => {
            release = done;
            lead();
          })
        : follow());
    locks.request(name, options, granted).catch(() => {
      if (mine != turn) return;
      if (release) {
        // Taken away by one who thought that we hang.
        release = undefined;
        drop();
        follow();
      } else {
        // Not to be had in this kind of page.
        shares = false;
        leave();
        keep.start(id);
      }
    });
  };

  const steal = () => {
    cancel?.abort();
    lock({ steal: true });
  };

  const lead = async () => {
    const mine = turn;
    // The lock may come before the last letters of the leader before are read. They stand in the
    // mail before this one; then we are as far as anybody.
    const echo = new BroadcastChannel(name);
    await new Promise((done) => {
      echoed = done;
      echo.postMessage([Kind.Say, me, me]);
    });
    echo.close();
    if (mine != turn) return;
    term++;
    epoch = epoch || Math.random();
    role = Role.Leader;
    publish({ leader: true, shared: true });
    if (held) flush();
    else keep.start(id);
  };

  const receive = (letter: Letter) => {
    const [kind, from, to, theirs, where, what, status, due] = letter;
    if (to && to != me) return;
    if (from == me) echoed();
    else if (kind) {
      if (role != Role.Leader) return;
      if (what != undefined) keep.kick(what as Kick);
      post(Kind.Say, from, after(where));
    } else if (role == Role.Follower && theirs >= term) {
      term = theirs;
      heard = Date.now();
      if (to) {
        asked = 0;
        move(letter);
        if (!cancel) lock({ signal: (cancel = new AbortController()).signal });
      } else if (where[2] == epoch && where[1] == n) {
        if (what) take((what as Entry[])[0]!);
        else id = where[0];
      } else {
        // Once for all that comes until the answer does, which sets it to 0.
        if (heard > asked + 999) query();
        return;
      }
      if (status) show({ ...status, leader: false, shared: true });
      if (due! + Limit.Quiet < heard) steal();
    }
  };

  const tick = () => {
    const now = Date.now();
    awake();
    if (role != Role.Follower || now - heard < Limit.Quiet) return;
    if (asked <= heard) query();
    else if (now - asked > Limit.Tick - 500) steal();
  };

  return {
    start() {
      leave();
      if (shares && user) enter();
      else keep.start(id);
    },
    stop() {
      leave();
      keep.stop();
    },
    kick(how) {
      if (role == Role.Follower) query(how);
      else keep.kick(how);
    },
    place,
  };
}
