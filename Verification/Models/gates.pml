/* Gated dispatch: a task is sent to a core before its producers on other cores have finished, and the
 * worker waits at a gate for each of them. One scheduler, a worker per core, workers are killed.
 *
 * Bounds: CORES cores of LANES lanes, TASKS tasks (the graphs below; each task has its core), KILLS kills
 * (SIGKILL between any two steps), a TSO store buffer per process. Every dispatch has the same descriptor,
 * so a lane's words are 0, 1, 0, 1: each comes again after two reuses. A dispatch or a recovery begins
 * when the scheduler's stores before it are through. What a dead process has stored is visible when its death is seen.
 * Sleeps have no time limit, so a lost wake is an invalid end state. A worker without a new word, and the
 * scheduler, wait in a guard (their sleep: park.pml). Mutants: see verify-models.
 *   GRAPH 1: a chain across two cores that reuses lanes, and a task of its own that goes between.
 *   GRAPH 2: a diamond on three cores: two gates at once.
 *   GRAPH 3: two lanes; producers on the same core, which need no gate, and on the other.
 *   GRAPH 4: a diamond on two cores of two lanes: two gates on one core. */

#ifndef GRAPH
#define GRAPH 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#if GRAPH == 1
#define CORES 2
#define LANES 1
#ifndef TASKS
#define TASKS 5
#endif
#define CORE_OF(t)   ((t) & 1)                              /* 0 2 4 | 1 3 */
#define ON_CORE(c)   ((c) == 0 -> 21 : 10)
#define PRODUCERS(t) ((t) == 0 || (t) == 4 -> 0 : 1 << ((t) - 1))  /* 0 < 1 < 2 < 3; 4 */
#elif GRAPH == 2
#define CORES 3
#define LANES 1
#define TASKS 4
#define CORE_OF(t)   ((t) % 3)                              /* 0 3 | 1 | 2 */
#define ON_CORE(c)   ((c) == 0 -> 9 : ((c) == 1 -> 2 : 4))
#define PRODUCERS(t) ((t) == 0 -> 0 : ((t) == 3 -> 6 : 1))  /* 0 < 1 2 < 3 */
#elif GRAPH == 3
#define CORES 2
#define LANES 2
#define TASKS 5
#define CORE_OF(t)   ((t) == 2 || (t) == 3)                 /* 0 1 4 | 2 3 */
#define ON_CORE(c)   ((c) == 0 -> 19 : 12)
#define PRODUCERS(t) ((t) == 0 -> 0 : ((t) == 3 -> 5 : 1 << ((t) - 1)))  /* 0 < 1 < 2, 0 2 < 3 < 4 */
#else
#define CORES 2
#define LANES 2
#define TASKS 4
#define CORE_OF(t)   ((t) == 1 || (t) == 2)                 /* 0 3 | 1 2 */
#define ON_CORE(c)   ((c) == 0 -> 9 : 6)
#define PRODUCERS(t) ((t) == 0 -> 0 : ((t) == 3 -> 6 : 1))  /* 0 < 1 2 < 3 */
#endif
#define BIT(t) (1 << (t))
#define ALL    (BIT(TASKS) - 1)
#define LOWEST(set) ((set) & 1 -> 0 : ((set) & 2 -> 1 : ((set) & 4 -> 2 : ((set) & 8 -> 3 : 4))))

/* ---- A lane's word is its toggle. COND: the word = ACK, FIN of the word; FIN of the other word = not taken. ---- */
#define FIN(word)     ((word) | 2)
#define NOT_TAKEN(word) FIN(1 - (word))
#define LANE(c, i)    ((c) * LANES + (i))
#define AT(c, p)      LANE(c, ((p) - 1) % LANES)   /* the lane of the core's p-th dispatch */
#define WORD_OF(p)    ((((p) - 1) / LANES) % 2)    /* its word */

/* ---- Words, with their writer ---- */
#define N             (CORES * LANES)
#define POSITION(l)   (l)                          /* scheduler: which dispatch of the core this is */
#define SKIP(l)       (N + (l))                    /* scheduler */
#define GATES(l)      (2 * N + (l))                /* scheduler: a set of producers; above bit 5: the task */
#define WORD(l)       (3 * N + (l))                /* scheduler: DATA_MAIN_BASE */
#define COND(l)       (4 * N + (l))                /* worker */
#define PARKED(c)     (5 * N + (c))                /* worker: 1 + the lane at whose gate it sleeps */
#define WAITERS(c)    (5 * N + CORES + (c))        /* scheduler: cores that ever had a gate on this one */
#define PUBLISHED(c)  (5 * N + 2 * CORES + (c))    /* scheduler: lets that incarnation in; retired, outstanding */
#define READY(c)      (5 * N + 3 * CORES + (c))    /* worker: incarnation */
byte mem[5 * N + 4 * CORES];
#define PUBLISH(k, retired, count) ((k) * 64 + (retired) * 4 + (count))

/* ---- Store buffers: see park.pml. Processes: a core's worker each, then the scheduler. ---- */
#define SCHEDULER CORES
chan buffer[CORES + 1] = [6] of { byte, byte };
#define STORE(a, v)        buffer[me]!(a),(v)
#define DRAINED            empty(buffer[me])
#define STORE_FENCED(a, v) atomic { DRAINED -> mem[a] = v }
#ifdef NO_FENCE_GATE_FIN
#define STORE_FIN STORE
#else
#define STORE_FIN STORE_FENCED
#endif
#ifdef NO_FENCE_GATE_PARKED
#define STORE_PARKED STORE
#else
#define STORE_PARKED STORE_FENCED
#endif
inline drain(i) { d_step { buffer[i]?a,v -> mem[a] = v; a = 0; v = 0 } }
active proctype Memory() {
  byte a, v;
end:
  do
  :: nempty(buffer[0]) -> drain(0)
  :: nempty(buffer[1]) -> drain(1)
  :: nempty(buffer[2]) -> drain(2)
#if CORES == 3
  :: nempty(buffer[3]) -> drain(3)
#endif
  od
} /* unreachable ok */

/* ---- futex: 1 + the lane on whose COND a worker sleeps ---- */
byte asleep[CORES];
inline wake(lane) {
  w = 0;
  do
  :: w < CORES -> if :: asleep[w] == 1 + (lane) -> asleep[w] = 0 :: else fi; w++
  :: else -> w = 0; break
  od
}
#define AWAKE (asleep[me] == 0)

/* ---- Scheduler's own ---- */
byte dispatched, ended, lost;           /* sets of tasks; lost: FAILED or cancelled */
byte started[CORES], retired[CORES];
byte laneTask[N];
byte waiters[CORES];                    /* as it has stored them */
byte fenced[CORES];                     /* incarnations before this one are dead and dealt with */
bit  admitted[CORES] = 1;
byte positionOf[TASKS];                 /* what a gate says of its producer, besides the core */
#define LANE_OF(t) AT(CORE_OF(t), positionOf[t])
#define OUTSTANDING(c) (started[c] - retired[c])
#define ALL_ENDED (ended == ALL)

/* ---- Ghosts: what really happened ---- */
byte begun, finished, mayRunAgain;
byte killed[CORES], kills;

/* ---- Dispatch: producers are dispatched, finished or not ---- */
#ifdef REUSE_BEFORE_FIN
#define HAS_ROOM(c) (OUTSTANDING(c) <= LANES)
#else
#define HAS_ROOM(c) (OUTSTANDING(c) < LANES)
#endif
#ifdef DISPATCH_BEFORE_READY
#define IS_ADMITTED(c) true
#else
#define IS_ADMITTED(c) admitted[c]
#endif
#define MAY_DISPATCH(t) (t < TASKS && !((dispatched | ended) & BIT(t)) && !(PRODUCERS(t) & ~dispatched) && \
                         IS_ADMITTED(CORE_OF(t)) && HAS_ROOM(CORE_OF(t)))
#define MAY_DISPATCH_ANY (MAY_DISPATCH(0) || MAY_DISPATCH(1) || MAY_DISPATCH(2) || MAY_DISPATCH(3) || MAY_DISPATCH(4))
inline storeWaiters() {
  do
  :: g < CORES ->
     if
     :: (gates & ON_CORE(g)) && !(waiters[g] & BIT(c)) ->
        waiters[g] = waiters[g] | BIT(c); STORE(WAITERS(g), waiters[g])
     :: else
     fi;
     g++
  :: else -> g = 0; break
  od
}
inline dispatch() {
  atomic {
    DRAINED && MAY_DISPATCH_ANY ->
    if
    :: MAY_DISPATCH(0) -> t = 0
    :: MAY_DISPATCH(1) -> t = 1
    :: MAY_DISPATCH(2) -> t = 2
    :: MAY_DISPATCH(3) -> t = 3
    :: MAY_DISPATCH(4) -> t = 4
    fi;
    c = CORE_OF(t);
    dispatched = dispatched | BIT(t);
    started[c]++; positionOf[t] = started[c]; l = LANE_OF(t); laneTask[l] = t;
    gates = PRODUCERS(t) & ~ended & ~ON_CORE(c);
#ifndef WAITERS_AFTER_WORD
    storeWaiters();
#endif
#ifndef POSITION_AFTER_WORD
    STORE(POSITION(l), started[c]);  /* release */
#endif
#ifndef SKIP_STAYS
    if :: mem[SKIP(l)] -> STORE(SKIP(l), 0) :: else fi;
#endif
#ifndef GATES_AFTER_WORD
    STORE(GATES(l), gates | (t << 5));
#endif
    STORE(WORD(l), WORD_OF(started[c]));  /* release */
#ifdef WAITERS_AFTER_WORD
    storeWaiters();
#endif
#ifdef POSITION_AFTER_WORD
    STORE(POSITION(l), started[c]);
#endif
#ifdef GATES_AFTER_WORD
    STORE(GATES(l), gates | (t << 5));
#endif
    t = 0; c = 0; l = 0; gates = 0
  }
}

/* ---- Retire: the oldest lane's FIN ---- */
#define OLDEST(c) AT(c, retired[c] + 1)
#define HAS_FIN(c) (OUTSTANDING(c) > 0 && mem[COND(OLDEST(c))] == FIN(WORD_OF(retired[c] + 1)))
inline retire(c) {
  t = laneTask[OLDEST(c)];
  assert(!(ended & BIT(t)));                          /* one FIN */
  assert((finished & BIT(t)) || (lost & BIT(t)));     /* of a kernel that has run, or must not */
  ended = ended | BIT(t); retired[c]++; t = 0
}
inline poll(c) { d_step { HAS_FIN(c) -> retire(c) } }

/* ---- Recovery ---- */
#define HAS_BEGUN(c) (OUTSTANDING(c) > 0 && mem[COND(OLDEST(c))] == WORD_OF(retired[c] + 1))
inline publish(c) { STORE(PUBLISHED(c), PUBLISH(fenced[c], retired[c], OUTSTANDING(c))) }  /* release */
#ifdef NO_TRANSITIVE_SKIP
#define TO_SKIP(t) ((fresh & BIT(t)) && ((PRODUCERS(t) & BIT(g)) || t == g))
#else
#define TO_SKIP(t) (fresh & BIT(t))
#endif
/* Consumers come after their producers in the numbers of the tasks. */
inline fail(task) {
  g = task; fresh = BIT(g); t = 0;
  do
  :: t < TASKS -> if :: PRODUCERS(t) & (lost | fresh) -> fresh = fresh | (BIT(t) & ~lost) :: else fi; t++
  :: else -> t = 0; break
  od;
  lost = lost | fresh;
  assert(!(begun & fresh & ~BIT(g)) && !(ended & fresh));  /* gate or lane order holds them back */
  ended = ended | (fresh & ~dispatched);                   /* cancelled before they were sent */
  fresh = fresh & dispatched
}
inline storeSkips() {
  do
  :: t < TASKS -> if :: TO_SKIP(t) -> STORE(SKIP(LANE_OF(t)), 1) :: else fi; t++
  :: else -> t = 0; fresh = 0; g = 0; break
  od
}
inline recover(c) {
  atomic {
    killed[c] > fenced[c] && empty(buffer[c]) && DRAINED ->
    fenced[c]++; admitted[c] = 0;
    do
    :: HAS_FIN(c) -> retire(c)
    :: else -> break
    od;
    if
    :: HAS_BEGUN(c) && !(lost & BIT(laneTask[OLDEST(c)])) -> mayRunAgain = mayRunAgain | BIT(laneTask[OLDEST(c)])
    :: HAS_BEGUN(c) && !(lost & BIT(laneTask[OLDEST(c)])) -> fail(laneTask[OLDEST(c)])
    :: !HAS_BEGUN(c) || (lost & BIT(laneTask[OLDEST(c)]))
    fi;
#ifdef SKIP_LATE
    publish(c); storeSkips()
#else
    storeSkips(); publish(c)
#endif
  }
}

proctype Scheduler(byte me) {
  byte t, c, l, g, gates, fresh;
  do
  :: dispatch()
  :: poll(0)
  :: poll(1)
  :: recover(0)
  :: recover(1)
  :: d_step { !admitted[0] && mem[READY(0)] == fenced[0] -> admitted[0] = 1 }
  :: d_step { !admitted[1] && mem[READY(1)] == fenced[1] -> admitted[1] = 1 }
#if CORES == 3
  :: poll(2)
  :: recover(2)
  :: d_step { !admitted[2] && mem[READY(2)] == fenced[2] -> admitted[2] = 1 }
#endif
  :: ALL_ENDED -> break
  od
}

/* ---- Worker: a process stands for a core's workers, one after another ---- */

/* One look at the gate of task g: the lane was given to a later dispatch, or has FIN. The three loads are
 * not one step: what they say together may be of two dispatches, so "closed" alone is no reason to sleep. */
#define IS_PAST (mem[POSITION(l)] != positionOf[g])
#if defined(POSITION_LAST) || defined(COND_ALONE_POSITION_LAST)
inline look() {
  d_step { isPast = IS_PAST; word = mem[WORD(l)] };
  cond = mem[COND(l)];
  isOpen = (IS_PAST || cond == FIN(word));
  d_step { assert(isOpen || !isPast); isPast = 0 }  /* not closed for ever, nor for a later dispatch */
}
#elif defined(GATE_BY_WORD)
inline look() {
  d_step { isPast = IS_PAST; cond = mem[COND(l)]; isOpen = (cond == FIN(WORD_OF(positionOf[g]))) };
  d_step { assert(isOpen || !isPast); isPast = 0 }  /* not closed for ever, nor for a later dispatch */
}
#elif defined(GATE_BY_LANE)
inline look() {
  d_step { isPast = IS_PAST; word = mem[WORD(l)] };
  d_step { cond = mem[COND(l)]; isOpen = (cond == FIN(word)) };
  d_step { assert(isOpen || !isPast); isPast = 0 }  /* not closed for ever, nor for a later dispatch */
}
#else
inline look() {
  d_step { isPast = IS_PAST; isOpen = isPast };                                              /* acquire */
  if :: !isOpen -> word = mem[WORD(l)] :: else fi;                                           /* acquire */
  if :: !isOpen -> d_step { cond = mem[COND(l)]; isOpen = (cond == FIN(word)) } :: else fi;  /* acquire */
  d_step { assert(isOpen || !isPast); isPast = 0 }  /* not closed for ever, nor for a later dispatch */
}
#endif

/* The sleep is on two words: COND as the look has seen it and, compared after it, the lane's position as
 * the gate has it. Position alone never comes again: if it is still the gate's, COND was this dispatch's
 * when it was compared, and its FIN is still to come. The kernel (futex_waitv) queues on COND and compares
 * it, then on position. Nobody wakes position. */
#define IS_COND_SEEN (mem[COND(l)] == cond)
#if defined(COMPARE_POSITION_FIRST)
inline sleep() {
  if
  :: !IS_PAST -> atomic { if :: IS_COND_SEEN -> asleep[me] = 1 + l :: else fi }
  :: else
  fi
}
#elif defined(COND_ALONE) || defined(COND_ALONE_POSITION_LAST)
inline sleep() {
  atomic { if :: IS_COND_SEEN -> asleep[me] = 1 + l :: else fi }
}
#else
inline sleep() {
  atomic { if :: IS_COND_SEEN -> asleep[me] = 1 + l :: else fi };
  atomic { if :: IS_PAST -> asleep[me] = 0 :: else fi }
}
#endif
inline passGates() {
  do
  :: gates & 31 ->
     d_step { g = LOWEST(gates); l = LANE_OF(g) };
     if
     :: true                                                        /* spins */
     :: STORE_PARKED(PARKED(me), 1 + l); isParked = 1
     fi;
     look();
     if
     :: isOpen -> gates = gates & ~BIT(g)
     :: !isOpen && isParked -> sleep()
     :: !isOpen && !isParked
     fi;
     atomic {
       AWAKE -> g = 0; l = 0; word = 0; cond = 0; isOpen = 0;
       if
       :: isParked -> STORE(PARKED(me), 0); isParked = 0
       :: else
       fi
     }
  :: else -> break
  od
}

/* What `waiters` holds, then each one's `parked`, if it is lane `l` that it waits for, one of these. */
inline wakeWaiters(these) {
  set = mem[WAITERS(me)];
  do
  :: set -> d_step {
       g = LOWEST(set); set = set & ~BIT(g); l = mem[PARKED(g)];
       if :: l && these -> wake(l - 1) :: else fi;
       g = 0; l = 0
     }
  :: else -> break
  od
}
#define MINE AT(me, next)
#define THIS_LANE (l - 1 == MINE)
#define IS_OUTSTANDING(i) (((i) + LANES - (next - 1) % LANES) % LANES < count)
#define MY_LANES  ((l - 1) / LANES == me)
#if defined(NO_WAKE_OF_FINISHED)
#define EVERY_LANE (MY_LANES && IS_OUTSTANDING((l - 1) % LANES))
#elif defined(NO_WAKE_OF_OUTSTANDING)
#define EVERY_LANE (MY_LANES && !IS_OUTSTANDING((l - 1) % LANES))
#else
#define EVERY_LANE MY_LANES
#endif

/* A replacement begins. */
inline takeOver() {
  if
  :: d_step {
       mem[PUBLISHED(me)] / 64 == incarnation ->
       next = (mem[PUBLISHED(me)] / 4) % 16 + 1; count = mem[PUBLISHED(me)] % 4
     }
  :: ALL_ENDED -> goto left
  fi;
  do
  :: i < LANES ->
     atomic {
       word = mem[WORD(LANE(me, i))];
       if
#ifdef RESET_ALL_TO_FIN
       :: IS_OUTSTANDING(i) -> STORE(COND(LANE(me, i)), FIN(word))
#else
       :: IS_OUTSTANDING(i) -> STORE(COND(LANE(me, i)), NOT_TAKEN(word))
#endif
       :: else -> STORE(COND(LANE(me, i)), FIN(word))
       fi;
       i++; word = 0
     }
  :: else -> i = 0; break
  od;
  DRAINED;                              /* fence */
  wakeWaiters(EVERY_LANE);
  atomic { STORE(PARKED(me), 0); STORE(READY(me), incarnation); count = 0 }
}

/* A new word on the next lane */
inline serve() {
  d_step {
    mem[WORD(MINE)] == WORD_OF(next) -> gates = mem[GATES(MINE)];
#ifdef SKIP_SEEN_EARLY
    isSkip = mem[SKIP(MINE)]
#endif
  };
  passGates();
#ifndef SKIP_SEEN_EARLY
  isSkip = mem[SKIP(MINE)];
#endif
  if
  :: isSkip -> isSkip = 0; STORE_FIN(COND(MINE), FIN(WORD_OF(next)))
  :: else ->
     atomic {
       STORE(COND(MINE), WORD_OF(next));  /* ACK; then the kernel begins */
       t = gates >> 5;
       assert(!(PRODUCERS(t) & ~finished));                         /* after its producers */
       assert(!(lost & BIT(t)));                                    /* not if one of them has FAILED */
       assert(!(begun & BIT(t)) || (mayRunAgain & BIT(t)));         /* once, or once more */
       begun = begun | BIT(t); mayRunAgain = mayRunAgain & ~BIT(t); finished = finished & ~BIT(t)
     };
     atomic { DRAINED -> finished = finished | BIT(t); t = 0; STORE_FIN(COND(MINE), FIN(WORD_OF(next))) }
  fi;
  wakeWaiters(THIS_LANE);
  atomic { next++; gates = 0 }
}
proctype Worker(byte me) {
  byte incarnation, next = 1, count, gates, g, l, word, cond, t, set, i, w;
  bit isOpen, isPast, isParked, isSkip;
again:
  {
    if :: incarnation -> takeOver() :: else fi;
    do
    :: serve()
    :: ALL_ENDED -> goto left
    od
  } unless {
    atomic {
      killed[me] != incarnation -> incarnation++;
      next = 1; count = 0; gates = 0; g = 0; l = 0; word = 0; cond = 0; t = 0; set = 0; i = 0; w = 0;
      isOpen = 0; isPast = 0; isParked = 0; isSkip = 0;
      goto again
    }
  };
left:
  skip
}

/* SIGKILL between any two steps */
active proctype Supervisor() {
  byte c;
  atomic {
    do
    :: c < N -> mem[WORD(c)] = 1; mem[COND(c)] = FIN(1); c++
    :: else -> c = 0; break
    od;
    do
    :: c < CORES -> run Worker(c); c++
    :: else -> c = 0; break
    od;
    run Scheduler(SCHEDULER)
  };
  do
  :: atomic {
       kills < KILLS && !ALL_ENDED -> kills++;
       if :: c = 0 :: c = 1 :: CORES == 3 -> c = 2 fi;
       killed[c]++; asleep[c] = 0; c = 0
     }
  :: ALL_ENDED -> break
  od
}
