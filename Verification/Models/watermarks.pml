/* Two scheduler threads take tasks through COMPLETED, RELEASED and CONSUMED and advance the two
 * watermarks of each ring; an orchestrator reuses main slots and consumed entries by them.
 *
 * Bounds: 5 tasks, main window 2, consumed window 3, 2 threads, TSO store buffers.
 *   GRAPH 1: one ring; shared fanout, a scope end between producers and consumers, a WAIT-only
 *            edge, a late reference to a task whose entry another task has by then, a failing task,
 *            a task without outputs, which its scope does not hold.
 *   GRAPH 2: two rings; one list of consumers that leads through both.
 *   GRAPH 3: two rings; a task with two unfinished producers, whose slot is reused at once.
 * A thread with nothing to do waits in a guard, which stands for step() returning 0 again and again:
 * whatever ends with that guard shut for ever is an invalid end state, that is, a lost advance.
 * Swift functions are named in brackets. Mutants: see verify-models. */

#ifndef GRAPH
#define GRAPH 1
#endif
#define MAIN  2
#define CONS  3
#define TASKS 5
#if GRAPH == 1
#define RINGS     1
#define RING(t)   0
#define LOCAL(t)  (t)
#define TOTAL(r)  5
#define HELD(t)   ((t) != 3)  /* has outputs: a scope holds it */
#else
#define RINGS     2
#define RING(t)   ((t) >= 2)
#define LOCAL(t)  ((t) >= 2 -> (t) - 2 : (t))
#define TOTAL(r)  (2 + (r))
#define HELD(t)   true
#endif
#define SLOT(t)   (RING(t) * MAIN + LOCAL(t) % MAIN)
#define ENTRY(r,l) ((r) * CONS + (l) % CONS)
#define E(t)      ENTRY(RING(t), LOCAL(t))
#define EDGE(t,k) (SLOT(t) * 2 + (k))
#define BIT(t)    (1 << (t))

/* A fanin entry: producer, RETAIN. An edge reference: index, or NONE, or CLOSED. */
#define RETAIN 16
#define NOBODY 15
#define NONE   100
#define CLOSED 101

/* States, as far as the watermarks look at them. */
#define PENDING  0
#define RELEASED 4
#define CONSUMED 5

/* ---- Memory: words that are stored plainly go through a store buffer per thread. ---- */
#define ENTRIES  (RINGS * CONS)
#define STATE(e) (e)                          /* entry.state */
#define WIRED(r) (ENTRIES + (r))              /* ring.wired */
#define REL(r)   (ENTRIES + RINGS + (r))      /* last_task_released */
#define CON(r)   (ENTRIES + 2 * RINGS + (r))  /* last_task_consumed */
#define RLOCK(r) (ENTRIES + 3 * RINGS + (r))  /* releasedLock */
#define CLOCK(r) (ENTRIES + 4 * RINGS + (r))  /* consumedLock */
byte mem[ENTRIES + 5 * RINGS];
chan buffer[2] = [3] of { byte, byte };
#define STORE(a, v) buffer[me]!(a),(v)
#define FENCE       empty(buffer[me])

/* Words changed by read-modify-write, which drains the buffer, or under logLock alone. */
byte fanoutCount[ENTRIES], fanoutRefs[ENTRIES];  /* halves of one 64-bit word */
byte head[ENTRIES] = CLOSED;                     /* fanout_head */
byte entryTask[ENTRIES] = NOBODY, entryPrevious[ENTRIES];
bit  cancelled[ENTRIES], failed[ENTRIES];        /* outcome */
byte faninRefs[RINGS * MAIN], faninCount[RINGS * MAIN];   /* pto2_main_slot_state */
byte slotTask[RINGS * MAIN] = NOBODY;            /* main slot: whose payload it holds */
byte fanin[RINGS * MAIN * 2];
byte edgeConsumer[RINGS * MAIN * 2], edgeNext[RINGS * MAIN * 2];
bit  edgeRetained[RINGS * MAIN * 2];
bit  logLock;
byte submitted, wired;                           /* log positions */
byte logTask[TASKS + 2], logCount[TASKS + 2];    /* count 0: task; else scope end */
byte ready;                                      /* ready intake and queues: a set */

/* Ghosts: what really is the case, whatever the words say. */
byte everReady, completed, wasReleased, wasConsumed, hasFailed, orchestratorLog;

#define SHUT(r) (mem[CON(r)] == TOTAL(r))
#if RINGS == 1
#define ALL_CONSUMED SHUT(0)
#else
#define ALL_CONSUMED (SHUT(0) && SHUT(1))
#endif

/* Drains the buffers, and judges each watermark as it becomes visible. */
inline drain(i) {
  d_step {
    buffer[i]?a,v;
    if
    :: a >= REL(0) && a < RLOCK(0) -> assert(v >= mem[a])  /* a watermark never goes back */
    :: else
    fi;
    mem[a] = v;
    if
    :: a >= REL(0) && a < CON(0) -> assert(v <= mem[a - RINGS])  /* released <= wired */
    :: a >= CON(0) && a < RLOCK(0) -> assert(v <= mem[a - RINGS])  /* consumed <= released */
    :: else
    fi;
    a = 0; v = 0
  }
}
active proctype Memory() {
  byte a, v;
end:
  do
  :: nempty(buffer[0]) -> drain(0)
  :: nempty(buffer[1]) -> drain(1)
  od
} /* unreachable ok */

/* Atomic exchange: true when the lock was free. */
inline exchange(lock, got) {
  atomic { FENCE -> got = (mem[lock] == 0); mem[lock] = 1 }
}
#ifdef PROBE_FIRST
#define TRY(lock, got) if :: mem[lock] != 0 -> got = false :: else -> exchange(lock, got) fi
#else
#define TRY(lock, got) exchange(lock, got)
#endif
#ifdef NO_FENCE
#define FENCE_AFTER_UNLOCK skip
#else
#define FENCE_AFTER_UNLOCK FENCE
#endif

/* Each time the holder tries again some task has come further: it does not do so for ever. */
#define LOOKED_AGAIN atomic { again++; assert(again <= TASKS) }

/* [advanceReleased], without its last line */
#ifdef RECHECK_WITHOUT_WIRED
#define MORE_RELEASED(r) (mem[STATE(ENTRY(r, position))] >= RELEASED)
#else
#define MORE_RELEASED(r) (position != mem[WIRED(r)] && mem[STATE(ENTRY(r, position))] >= RELEASED)
#endif
#ifdef CONSUMED_STORES_RELEASED
#define BEFORE(r) before
#else
#define BEFORE(r) mem[REL(r)]  /* nobody else stores it */
#endif
inline advanceReleased(r) {
  do
  :: TRY(RLOCK(r), got);
     if :: !got -> break :: else fi;             /* a loser leaves: the holder looks again */
     position = mem[REL(r)];
#ifdef CONSUMED_STORES_RELEASED
     before = position;
#endif
     do
     :: position != mem[WIRED(r)] && mem[STATE(ENTRY(r, position))] >= RELEASED -> position++
     :: else -> break
     od;
     if
     :: position != BEFORE(r) -> STORE(REL(r), position)
     :: else
     fi;
     STORE(RLOCK(r), 0);
#ifdef NO_RECHECK
     break
#else
     FENCE_AFTER_UNLOCK;
     if :: MORE_RELEASED(r) -> LOOKED_AGAIN :: else -> break fi
#endif
  od;
  atomic { got = 0; position = 0; again = 0 }
}

/* [advanceConsumed] */
#ifdef CONSUMED_PASSES_RELEASED
#define MORE_CONSUMED(r) (position != mem[WIRED(r)] && mem[STATE(ENTRY(r, position))] == CONSUMED)
#else
#define MORE_CONSUMED(r) (position != mem[REL(r)] && mem[STATE(ENTRY(r, position))] == CONSUMED)
#endif
inline advanceConsumed(r) {
  do
  :: TRY(CLOCK(r), got);
     if :: !got -> break :: else fi;
     position = mem[CON(r)];
     do
     :: MORE_CONSUMED(r) -> position++
     :: else -> break
     od;
#ifdef CONSUMED_STORES_RELEASED
     /* proposal 280: last_task_released brought up here too, without its lock */
     other = mem[REL(r)];
     do
     :: other != mem[WIRED(r)] && mem[STATE(ENTRY(r, other))] >= RELEASED -> other++
     :: else -> break
     od;
     STORE(REL(r), other);
     other = 0;
#endif
     if
     :: position != mem[CON(r)] -> STORE(CON(r), position)
     :: else
     fi;
     STORE(CLOCK(r), 0);
#ifdef NO_RECHECK
     break
#else
     FENCE_AFTER_UNLOCK;
     if :: MORE_CONSUMED(r) -> LOOKED_AGAIN :: else -> break fi
#endif
  od;
  atomic { got = 0; position = 0; again = 0 }
}

/* [dropReference], of the last reference */
inline consume(t) {
#ifdef TWO_WORDS
  atomic {  /* compare-and-swap from RELEASED, as the proposal has it */
    FENCE -> if
    :: mem[STATE(E(t))] == RELEASED -> mem[STATE(E(t))] = CONSUMED; wasConsumed = wasConsumed | BIT(t)
    :: else
    fi
  };
#else
  d_step { assert(!(wasConsumed & BIT(t))); wasConsumed = wasConsumed | BIT(t) }
  STORE(STATE(E(t)), CONSUMED);
#endif
#ifdef SHORTCUT
  if :: mem[CON(RING(t))] == LOCAL(t) -> advanceConsumed(RING(t)) :: else fi
#else
  advanceConsumed(RING(t))
#endif
}

/* [dropReference]: a consumer, the scope, or the task itself is done with t */
inline dropReference(t) {
  atomic {
    FENCE;
    assert(entryTask[E(t)] == t);  /* who holds a reference holds the entry */
    fanoutRefs[E(t)]++;
    got = (fanoutRefs[E(t)] == fanoutCount[E(t)])
  };
  if
  :: got -> got = 0; consume(t)
  :: else
  fi
}

/* [release], with [advanceReleased] and the task's own reference */
inline release(t) {
#ifdef RELEASED_FIRST
  d_step { wasReleased = wasReleased | BIT(t) }
  STORE(STATE(E(t)), RELEASED);
  advanceReleased(RING(t));
#endif
  k = 0;
  do
  :: k < 2 ->
     d_step {
       assert(slotTask[SLOT(t)] == t);  /* payload read before it is given back */
       p = fanin[EDGE(t, k)] % RETAIN;
       got = (p != NOBODY && edgeRetained[EDGE(t, k)]);
       k++
     };
     if :: got -> got = 0; dropReference(p) :: else fi
  :: else -> break
  od;
  k = 0; p = 0;
#ifndef RELEASED_FIRST
  d_step { wasReleased = wasReleased | BIT(t) }
  STORE(STATE(E(t)), RELEASED);
#endif
#ifdef TWO_WORDS
  /* proposal 280: state and count are two words; this load may pass the store above */
  if :: fanoutRefs[E(t)] == fanoutCount[E(t)] -> consume(t) :: else fi;
#endif
  advanceReleased(RING(t));
  advanceConsumed(RING(t));
#ifndef TWO_WORDS
  dropReference(t)
#endif
}

/* [makeReady]: once per task */
inline makeReady(t) {
  assert(!(everReady & BIT(t)));
  everReady = everReady | BIT(t);
  ready = ready | BIT(t)
}

/* [complete]: closes the list, notifies the consumers on it, goes on to RELEASED */
inline complete(t) {
  atomic {
    FENCE -> completed = completed | BIT(t);
    edge = head[E(t)]; head[E(t)] = CLOSED
  };
  do
  :: edge != NONE ->
     d_step {
       assert(edge != CLOSED);
       c = edgeConsumer[edge];
#ifndef NEXT_AFTER_NOTIFY
       edge = edgeNext[edge];
#endif
#ifndef COUNT_AFTER_ADD
       count = faninCount[SLOT(c)];
#endif
       if :: failed[E(t)] -> cancelled[E(c)] = 1 :: else fi
     };
     d_step {
       faninRefs[SLOT(c)]++;
       refs = faninRefs[SLOT(c)];
#ifndef COUNT_AFTER_ADD
       if :: refs == count -> makeReady(c) :: else fi
#endif
     };
#ifdef COUNT_AFTER_ADD
     if :: atomic { refs == faninCount[SLOT(c)] -> makeReady(c) } :: else fi;
#endif
#ifdef NEXT_AFTER_NOTIFY
     edge = edgeNext[edge];
#endif
     d_step { c = 0; count = 0; refs = 0 }
  :: else -> break
  od;
  edge = 0;
  release(t)
}

/* [wire], under logLock */
inline setWired(t) { STORE(WIRED(RING(t)), LOCAL(t) + 1) }
inline wire(t) {
  d_step {  /* the entry is nobody else's: all plain stores, before ring.wired and the first push */
    assert(slotTask[SLOT(t)] == t);
    if  /* no entry is reused before its task is CONSUMED */
    :: entryTask[E(t)] != NOBODY -> assert(wasConsumed & BIT(entryTask[E(t)]))
    :: else
    fi;
    entryTask[E(t)] = t;
    entryPrevious[E(t)] = (t == 0 -> 0 : (HELD(t - 1) -> t - 1 : t - 2));
    mem[STATE(E(t))] = PENDING;
    head[E(t)] = NONE;
#ifdef TWO_WORDS
    fanoutCount[E(t)] = (HELD(t) -> 1 : 0);
#elif defined(NOT_HELD)
    fanoutCount[E(t)] = 1;
#else
    fanoutCount[E(t)] = (HELD(t) -> 2 : 1);  /* the scope, and the task itself until RELEASED */
#endif
    fanoutRefs[E(t)] = 0;
    cancelled[E(t)] = 0; failed[E(t)] = 0;
    faninRefs[SLOT(t)] = 0;
    faninCount[SLOT(t)] = 1 + (fanin[EDGE(t, 0)] % RETAIN != NOBODY) + (fanin[EDGE(t, 1)] % RETAIN != NOBODY);
    refs = 1
  };
  k = 0;
  do
  :: k < 2 && fanin[EDGE(t, k)] % RETAIN != NOBODY ->
     d_step { p = fanin[EDGE(t, k)] % RETAIN; edgeConsumer[EDGE(t, k)] = t; edgeRetained[EDGE(t, k)] = 0 };
     d_step {  /* is it alive, and if so claim it: one compare-and-swap */
#ifdef CLAIM_WITHOUT_ID
       got = (fanoutRefs[E(p)] != fanoutCount[E(p)]);
#elif defined(CLAIM_CONSUMED)
       got = (entryTask[E(p)] == p);
#else
       got = (entryTask[E(p)] == p && fanoutRefs[E(p)] != fanoutCount[E(p)]);
#endif
       if
       :: got && fanin[EDGE(t, k)] >= RETAIN -> fanoutCount[E(p)]++; edgeRetained[EDGE(t, k)] = 1
       :: else
       fi
     };
     d_step {  /* the push: one compare-and-swap; CLOSED means done already */
       if
       :: got && head[E(p)] != CLOSED -> edgeNext[EDGE(t, k)] = head[E(p)]; head[E(p)] = EDGE(t, k)
       :: else ->
          refs++;
          if :: got && failed[E(p)] -> cancelled[E(t)] = 1 :: else fi
       fi;
       got = 0; p = 0; k++
     }
  :: else -> break
  od;
  k = 0;
#ifndef WIRED_LATE
  setWired(t);
#endif
  atomic {  /* wire's own one, with all that were satisfied: the last touch of slot and entry */
    FENCE -> faninRefs[SLOT(t)] = faninRefs[SLOT(t)] + refs;
    if :: faninRefs[SLOT(t)] == faninCount[SLOT(t)] -> makeReady(t) :: else fi;
    refs = 0
  };
#ifdef WIRED_LATE
  setWired(t);
#endif
}

/* [readLog]: one record; [endScope] */
inline readRecord() {
  if
  :: logCount[wired] == 0 -> t = logTask[wired]; wire(t)
  :: else ->
     t = logTask[wired]; c = logCount[wired];
     do
     :: c > 0 ->
        atomic { assert(entryTask[E(t)] == t); p = entryPrevious[E(t)] };  /* before the drop */
        dropReference(t);
        atomic { t = p; p = 0; c-- }
     :: else -> break
     od
  fi;
  atomic { FENCE -> wired++; t = 0; c = 0; logLock = 0 }
}

/* A kernel runs on some core and its FIN is seen: [dispatchReady], [pollOldest], [finishSubtask] */
#define ALIVE_FOR(q) ((q) % RETAIN == NOBODY || (completed & BIT((q) % RETAIN)))
#define KEPT_FOR(q, kept) (!(kept) || mem[CON(RING((q) % RETAIN))] <= LOCAL((q) % RETAIN))
#define TAKE(n) atomic { ready & BIT(n) -> ready = ready & ~BIT(n); t = n }
inline runKernel(t) {
  atomic {
    assert(slotTask[SLOT(t)] == t);
    /* every producer COMPLETED, and what this task retains not reused */
    assert(ALIVE_FOR(fanin[EDGE(t, 0)]) && ALIVE_FOR(fanin[EDGE(t, 1)]));
    assert(KEPT_FOR(fanin[EDGE(t, 0)], edgeRetained[EDGE(t, 0)] && fanin[EDGE(t, 0)] % RETAIN != NOBODY));
    assert(KEPT_FOR(fanin[EDGE(t, 1)], edgeRetained[EDGE(t, 1)] && fanin[EDGE(t, 1)] % RETAIN != NOBODY));
    if
    :: cancelled[E(t)] -> failed[E(t)] = 1  /* CANCELLED: no kernel, its consumers neither */
    :: !cancelled[E(t)] -> assert(!(t == 2 && hasFailed && edgeRetained[EDGE(t, 1)]))
#if GRAPH == 1
    :: !cancelled[E(t)] && t == 1 -> failed[E(t)] = 1; hasFailed = 1  /* FAILED */
#endif
    fi
  };
  complete(t)
}

proctype Scheduler(byte me) {
  byte t, c, p, k, edge, position, refs, count;
#ifdef CONSUMED_STORES_RELEASED
  byte other, before;
#endif
  byte again;
  bit got;
  do
  :: atomic { !logLock && wired != submitted -> logLock = 1 }; readRecord()
  :: if
     :: TAKE(0) :: TAKE(1) :: TAKE(2) :: TAKE(3) :: TAKE(4)
     fi;
     runKernel(t); t = 0
  :: ALL_CONSUMED -> break
  od
}

/* [commit]: [waitForRoom], [Submit.write], [append] */
#ifdef MAIN_WINDOW_OFF_BY_ONE
#define HAS_SLOT(t) (LOCAL(t) - mem[REL(RING(t))] <= MAIN)
#else
#define HAS_SLOT(t) (LOCAL(t) - mem[REL(RING(t))] < MAIN)
#endif
#ifdef CONSUMED_WINDOW_OFF_BY_ONE
#define HAS_ENTRY(t) (LOCAL(t) - mem[CON(RING(t))] <= CONS)
#else
#define HAS_ENTRY(t) (LOCAL(t) - mem[CON(RING(t))] < CONS)
#endif
inline append(t, n) {
  logTask[orchestratorLog] = t; logCount[orchestratorLog] = n;
  orchestratorLog++;
  submitted = orchestratorLog
}
inline submit(t, a, b) {
  atomic {
    HAS_SLOT(t) && HAS_ENTRY(t) ->
    /* no main slot is reused before its task is RELEASED */
    assert(slotTask[SLOT(t)] == NOBODY || (wasReleased & BIT(slotTask[SLOT(t)])));
    slotTask[SLOT(t)] = t;
    fanin[EDGE(t, 0)] = a; fanin[EDGE(t, 1)] = b;
    append(t, 0)
  }
}
inline scopeEnd(last, n) { atomic { append(last, n) } }

active proctype Orchestrator() {
  atomic { run Scheduler(0); run Scheduler(1) };
#if GRAPH == 1
  submit(0, NOBODY, NOBODY);
#ifdef SCOPE_END_OVERTAKES
  scopeEnd(1, 2);
  submit(1, NOBODY, NOBODY);
#else
  submit(1, NOBODY, NOBODY);
  scopeEnd(1, 2);
#endif
  submit(2, 0 + RETAIN, 1 + RETAIN);
  submit(3, 2 + RETAIN, 1);
  submit(4, 0 + RETAIN, NOBODY);
  scopeEnd(4, 2);
#else
  submit(0, NOBODY, NOBODY);
#if GRAPH == 2
  submit(1, 0 + RETAIN, NOBODY);
  submit(2, 0 + RETAIN, NOBODY);
#else
  submit(1, NOBODY, NOBODY);
  submit(2, 0 + RETAIN, 1);
#endif
  submit(3, NOBODY, NOBODY);
  submit(4, 3 + RETAIN, NOBODY);
  scopeEnd(4, 3);
  scopeEnd(1, 2);
#endif
  ALL_CONSUMED  /* [drain] */
}
