// SPDX-License-Identifier: PostgreSQL
// One stream for all tabs of a user. Who holds a lock leads: its stream is everybody's, its events
// have numbers, and go to the others over a channel. Without sharing, a tab stays alone with its
// own. What browsers do to hidden pages decides most of this: README.md, "One stream for all tabs".

import { keeper, type Kick } from './keeper.js';
import type { HeraldEvent, HeraldOptions, Status } from './types.js';

/** How far this tab is; kept over page loads with `resume`. */
export interface Place {
  /** The daemon's position after the last event. */
  id?: string;
  /** Whose events these are. */
  user?: string;
  /** With others: the last event's number, and which numbering it is of. */
  n?: number;
  epoch?: number;
}

export interface LinkHooks {
  event(event: HeraldEvent): void;
  status(patch: Partial<Status>): void;
  /** Something was missed, or is somebody else's. */
  resync(reason: string): void;
}

/** What stands between the client and the stream, which is this tab's own or another's. */
export interface Link {
  /** Goes on from its place, which it keeps up to date. */
  start(): void;
  stop(): void;
  kick(how: Kick): void;
}

type Entry = [n: number, id: string, event: HeraldEvent];

interface Letter {
  /**
   * `say`: the leader's; an event, or only how far it is; to one that asked, with what that one
   * misses. `query`: what do I miss, and are you alive? `ask`: from a new leader, who must know who
   * is furthest. `place`: the answer.
   */
  kind: 'say' | 'query' | 'ask' | 'place';
  from: number;
  to?: number;
  /** Leaders have one each, higher than those before; what comes from a lower one is void. */
  term: number;
  place: Place;
  event?: HeraldEvent;
  /** After the place that was asked for; undefined where that is not known any more. */
  missed?: Entry[];
  status?: Partial<Status>;
  due?: number;
  kick?: Kick;
}

const RING = 256; // events each tab keeps for the others
const QUIET_MS = 4000; // then the leader is asked whether it lives
const TICK_MS = 2000;
const ANSWER_MS = 300; // for a tab that is asked and hangs

export function tabs(o: HeraldOptions, place: Place, shares: boolean, on: LinkHooks): Link {
  const me = Math.random();

  let role: 'none' | 'probe' | 'alone' | 'follower' | 'leader' = 'none';
  let turn = 0; // of taking part: what an earlier one left pending is void
  let name = '';
  let channel: BroadcastChannel | undefined;
  let cancel: AbortController | undefined;
  let release: (() => void) | undefined;
  let ticker: ReturnType<typeof setInterval>;
  let ticked = 0;
  let term = 0;
  let heard = 0; // of the leader, in ms
  let asked = 0; // whether it lives, in ms
  let ring: Entry[] = [];
  let shown: Partial<Status> = {};
  let held: [string, HeraldEvent?][] | undefined; // events while it is not known who leads
  let answer: ((m: Letter) => void) | undefined;

  const show = (patch: Partial<Status>) => on.status(Object.assign(shown, patch));

  const post = (kind: Letter['kind'], more?: Partial<Letter>) =>
    channel && channel.postMessage({ kind, from: me, term, place: { ...place }, ...more } as Letter);

  const say = (more?: Partial<Letter>) => post('say', { status: shown, due: keep.due(), ...more });

  /** What comes after `p`, or undefined when nobody knows. */
  const after = (p: Place): Entry[] | undefined =>
    p.epoch == place.epoch && (p.n == place.n || (p.n! < place.n! && ring[0]! && ring[0][0] <= p.n! + 1))
      ? ring.filter(([n]) => n > p.n!)
      : undefined;

  const take = (entry: Entry) => {
    const [n, id, event] = entry;
    if (n <= place.n!) return;
    Object.assign(place, { n, id });
    ring.push(entry);
    if (ring.length > RING) ring.shift();
    on.event(event);
  };

  /** Goes to where `p` is: by what was missed, or by a resync. */
  const move = (p: Place, missed?: Entry[]) => {
    if (missed) missed.forEach(take);
    else if (place.epoch) {
      ring = [];
      on.resync('tabs');
    }
    Object.assign(place, p);
  };

  const deliver = (id: string, event?: HeraldEvent) => {
    if (held) held.push([id, event]);
    else if (role == 'leader' && event) {
      const n = place.n! + 1;
      // The others first: our own handlers may take their time.
      post('say', { event, place: { ...place, n, id } });
      take([n, id, event]);
    } else {
      place.id = id;
      if (event) on.event(event);
      else post('say');
    }
  };

  const flush = () => {
    const events = held || [];
    held = undefined;
    for (const [id, event] of events) deliver(id, event);
  };

  /** After a pause somebody else may lead, and nothing tells us before the events are read. */
  const awake = async () => {
    const paused = Date.now() - ticked > QUIET_MS - 1000;
    ticked = Date.now();
    if (!paused || role != 'leader' || held) return;
    held = [];
    // Whoever has lost the lock is told so before this is answered.
    await navigator.locks.query();
    if (role == 'leader') flush();
  };

  const publish = (patch: Partial<Status>) => {
    // Refused: the next one tries with a token of its own.
    if (patch.state == 'failed') leave();
    show(patch);
    if (role == 'leader') say();
  };

  const keep = keeper(o, {
    hello(id, patch) {
      const { user } = patch;
      const known = place.user;
      const same = user == known;
      if (role == 'leader' && same) return publish(patch);
      leave();
      Object.assign(place, { user, id });
      if (known && !same) {
        place.epoch = undefined;
        on.resync('user');
      }
      Object.assign(shown, patch);
      if (shares && user) {
        held = [];
        enter();
      } else {
        // Whoever does not know who it is hears nobody else's events.
        role = 'alone';
        show({ leader: true, shared: false });
      }
    },
    event(id, event) {
      awake();
      deliver(id, event);
    },
    status: publish,
  });

  const leave = () => {
    turn++;
    term = 0;
    role = 'none';
    held = undefined;
    clearInterval(ticker);
    if (cancel) cancel.abort();
    if (release) release();
    if (channel) channel.close();
    channel = cancel = release = undefined;
  };

  const lock = (options: LockOptions) => {
    const mine = turn;
    navigator.locks
      .request(name, options, (granted) => {
        if (mine != turn) return;
        if (!granted) return follow();
        return new Promise<void>((done) => {
          release = done;
          lead();
        });
      })
      .catch(() => {
        if (mine != turn) return;
        // Taken away by one who thought that we hang,
        if (release) return follow();
        // or not to be had in this kind of page.
        shares = false;
        leave();
        keep.start(place.id);
      });
  };

  const enter = () => {
    name = 'pgherald1 ' + new URL(o.url, location.href) + ' ' + place.user;
    channel = new BroadcastChannel(name);
    channel.onmessage = (message) => receive(message.data);
    ticked = Date.now();
    ticker = setInterval(tick, TICK_MS);
    lock({ ifAvailable: true });
  };

  const follow = () => {
    turn++;
    keep.stop();
    role = 'follower';
    held = release = undefined;
    on.status({ leader: false, shared: true });
    heard = asked = Date.now();
    post('query');
    cancel = new AbortController();
    lock({ signal: cancel.signal });
  };

  const steal = () => {
    turn++;
    cancel!.abort();
    lock({ steal: true });
  };

  const lead = async () => {
    const mine = turn;
    const { pending } = await navigator.locks.query();
    // The furthest of all. What the leader before has said stands before our question in each
    // one's mail, since it held the lock until then.
    const best = await new Promise<Letter | undefined>((done) => {
      let left = pending!.filter((l) => l.name == name).length;
      let furthest: Letter | undefined;
      const end = () => done(furthest);
      answer = (m) => {
        const { term, place } = furthest || { term: 0, place: { n: 0 } };
        if (m.term > term || (m.term == term && m.place.n! > place.n!)) furthest = m;
        if (!--left) end();
      };
      post('ask');
      setTimeout(end, left && ANSWER_MS); // a second in a hidden tab, so nobody counts on it
    });
    if (mine != turn) return;
    if (best && (best.term > term || (best.term == term && best.place.n! > place.n!))) {
      held = undefined;
      term = best.term;
      move(best.place, best.missed);
    }
    term++;
    if (!place.epoch) Object.assign(place, { epoch: me, n: 0 });
    role = 'leader';
    on.status({ leader: true, shared: true });
    if (held) {
      publish(shown);
      flush();
    } else keep.start(place.id);
  };

  const receive = (m: Letter) => {
    if (m.to && m.to != me) return;
    if (m.kind == 'place') answer!(m);
    else if (m.kind == 'ask') {
      if (role == 'follower') post('place', { to: m.from, missed: after(m.place) });
    } else if (m.kind == 'query') {
      if (role != 'leader') return;
      if (m.kick != null) keep.kick(m.kick);
      say({ to: m.from, missed: after(m.place) });
    } else if (role == 'follower' && m.term >= term) {
      const { n, id, epoch } = m.place;
      const known = epoch == place.epoch;
      term = m.term;
      heard = Date.now();
      if (m.to) move(m.place, m.missed);
      else if (m.event && known && n == place.n! + 1) take([n, id!, m.event]);
      else if (!known || n != place.n) post('query');
      else place.id = id;
      if (m.status && place.epoch) show({ ...m.status, leader: false, shared: true });
      if (m.due! + QUIET_MS < heard) steal();
    }
  };

  const tick = () => {
    const now = Date.now();
    awake();
    if (role != 'follower' || now - heard < QUIET_MS) return;
    if (asked <= heard) {
      asked = now;
      post('query');
    } else if (now - asked > TICK_MS - 500) steal();
  };

  return {
    start() {
      leave();
      if (shares && place.user) enter();
      else keep.start(place.id);
    },
    stop() {
      leave();
      keep.stop();
    },
    kick(how) {
      if (role == 'follower') post('query', { kick: how });
      else keep.kick(how);
    },
  };
}
