/* The register handshake: one thread dispatches, another polls, two cores serve lanes, workers are
 * killed at any instruction and started again, and the scheduler recovers what they had taken.
 *
 * Bounds: 4 tasks on 2 descriptors (so every word comes again), of which tasks 1 and 2 are not idempotent;
 * CORES cores, LANES lanes each, KILLS kills. Recovery (planned, issue 4) is modelled as it has to be:
 *   1. the scheduler sees the worker's death; under dispatchLock it reads COND once more:
 *      FIN = commit; not ACKed = run again; ACKed without FIN = run again if idempotent, else FAILED;
 *   2. it idles the lanes, then stores fenced = the dead incarnation;
 *   3. only then the next worker may reset COND, and announces READY(incarnation + 1), which alone admits it.
 * A dead process's stores are all visible, so there is no store buffer here; what release and acquire
 * order is a mutant when it is missing. Swift functions are named in brackets. */

#ifndef LANES
#define LANES 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef CORES
#define CORES   2
#endif
#ifndef TASKS
#define TASKS   4
#endif
#define WINDOW  2                      /* descriptors: task t has descriptor t % WINDOW */
#define IS_IDEMPOTENT(t) ((t) == 0 || (t) == 3)

/* ---- Words: DATA_MAIN_BASE and COND. Bit 3 toggle, bits 2:1 offset field; bit 4 of COND: FIN. ---- */
#define TOGGLE         8
#define FIN            16
#define WORD(t, toggle) ((((t) % WINDOW + 1) << 1) | (toggle))
#define DESCRIPTOR(word) ((((word) >> 1) & 3) - 1)
#define SCHEDULER_IDLE 7
#define CORE_IDLE      31
#define L(c, lane)     ((c) * LANES + (lane))

byte data[2 * LANES] = SCHEDULER_IDLE;  /* scheduler */
byte cond[2 * LANES] = CORE_IDLE;       /* worker */
byte readyWord[2];                      /* worker: READY(incarnation) */
byte fenced[2];                         /* scheduler: incarnations up to this one are dead and dealt with */

/* ---- Scheduler's own. Lane record: belongs to the dispatcher while the lane is free. ---- */
byte laneWord[2 * LANES] = SCHEDULER_IDLE, laneBefore[2 * LANES] = CORE_IDLE, laneTask[2 * LANES];
byte nextLane[2], started[2];           /* dispatcher, under dispatchLock */
byte oldestLane[2], retired[2];         /* polling thread */
bit  admitted[2];
bit  dispatchLock;
byte queue;                             /* ready tasks: a set */
byte ended;                             /* committed or FAILED: a set */
byte failed;

/* ---- Ghosts: what really happened. ---- */
byte slotTask[WINDOW];                  /* whose descriptor it is */
byte runs[TASKS], committed, finished, submitted;
byte incarnation[2], killed[2], kills;   /* newest incarnation; incarnations up to this one are dead */
#define BIT(t)   (1 << (t))
#define OUTSTANDING(c) (started[c] - retired[c])
#define ALL_ENDED (ended == (1 << TASKS) - 1)

/* Orchestrator: a descriptor is written again when its task has ended (RELEASED). */
#define MAY_SUBMIT (submitted < TASKS && (submitted < WINDOW || (ended & BIT(submitted - WINDOW))))
active proctype Orchestrator() {
  do
  :: atomic { MAY_SUBMIT -> slotTask[submitted % WINDOW] = submitted; queue = queue | BIT(submitted); submitted++ }
  :: submitted == TASKS -> break
  od
}

/* [CoreTable.dispatch]: under dispatchLock. The lane record, the word, then `started`. */
#ifdef TWO_PER_LANE
#define HAS_ROOM(c) (admitted[c] && OUTSTANDING(c) < 2 * LANES)
#else
#define HAS_ROOM(c) (admitted[c] && OUTSTANDING(c) < LANES)
#endif
#define TAKE(n) queue & BIT(n) -> queue = queue & ~BIT(n); t = n
active proctype Dispatcher() {
  byte t, c, lane, word;
  do
  :: atomic {
       queue && (HAS_ROOM(0) || HAS_ROOM(1)) && !dispatchLock -> dispatchLock = 1;
       if :: TAKE(0) :: TAKE(1) :: TAKE(2) :: TAKE(3) fi;
       if :: HAS_ROOM(0) -> c = 0 :: HAS_ROOM(1) -> c = 1 fi;
       lane = nextLane[c];
#ifdef NO_TOGGLE
       word = WORD(t, 0);
#else
       word = WORD(t, (laneWord[L(c, lane)] & TOGGLE -> 0 : TOGGLE));
#endif
       assert(word != laneWord[L(c, lane)]);  /* never the word before it on that lane */
       laneBefore[L(c, lane)] = (laneWord[L(c, lane)] == SCHEDULER_IDLE -> CORE_IDLE : laneWord[L(c, lane)] | FIN);
#ifndef RECORD_LATE
       laneTask[L(c, lane)] = t;
#endif
       laneWord[L(c, lane)] = word
     };
     data[L(c, lane)] = word;  /* release */
     atomic { started[c]++; nextLane[c] = (lane + 1) % LANES };  /* release */
#ifdef RECORD_LATE
     laneTask[L(c, lane)] = t;
#endif
     atomic { dispatchLock = 0; t = 0; c = 0; lane = 0; word = 0 }
  :: ALL_ENDED -> break
  od
}

/* [finishSubtask]: the one place where an attempt counts */
inline commit(t) {
  assert(!(committed & BIT(t)) && !(failed & BIT(t)));  /* at most one commit per task */
  assert(finished & BIT(t));                            /* and it is of this task's kernel */
  committed = committed | BIT(t); ended = ended | BIT(t)
}

/* [pollOldest]; the load of COND is an acquire */
#define OLDEST(c) L(c, oldestLane[c])
#define HAS_NEWS(c) (OUTSTANDING(c) > 0 && cond[OLDEST(c)] != laneWord[OLDEST(c)] && cond[OLDEST(c)] != laneBefore[OLDEST(c)])
inline retire(c) { oldestLane[c] = (oldestLane[c] + 1) % LANES; retired[c]++ }
inline pollOldest(c) {
  atomic {
    HAS_NEWS(c) -> assert(cond[OLDEST(c)] == (laneWord[OLDEST(c)] | FIN));  /* [garbage] */
#ifdef RETIRED_FIRST
    lane = oldestLane[c]
  };
  atomic { retire(c) };
  t = laneTask[L(c, lane)];
#else
    t = laneTask[OLDEST(c)]
  };
  atomic { retire(c) };  /* release */
#endif
  atomic { commit(t); t = 0; lane = 0 }
}

#ifdef RERUN_ACKED
#define MAY_RERUN(t) true
#else
#define MAY_RERUN(t) IS_IDEMPOTENT(t)
#endif
/* Recovery, by the polling thread that sees the pidfd */
inline recover(c) {
  atomic { killed[c] > fenced[c] && !dispatchLock -> dispatchLock = 1 };  /* pidfd */
  do
  :: atomic {
       OUTSTANDING(c) > 0 -> t = laneTask[OLDEST(c)];
#ifdef NO_LAST_LOOK
       seen = laneBefore[OLDEST(c)];
#else
       seen = cond[OLDEST(c)];
#endif
       if
       :: seen == (laneWord[OLDEST(c)] | FIN) -> commit(t)
       :: seen == laneWord[OLDEST(c)] && !MAY_RERUN(t) -> failed = failed | BIT(t); ended = ended | BIT(t)
       :: else -> queue = queue | BIT(t)
       fi;
       retire(c); t = 0; seen = 0
     }
  :: OUTSTANDING(c) == 0 -> break
  od;
  atomic {  /* idle the lanes; toggles start anew */
    do
    :: lane < LANES ->
       data[L(c, lane)] = SCHEDULER_IDLE;
       laneWord[L(c, lane)] = SCHEDULER_IDLE; laneBefore[L(c, lane)] = CORE_IDLE; lane++
    :: else -> lane = 0; break
    od;
    nextLane[c] = 0; oldestLane[c] = 0; started[c] = 0; retired[c] = 0; admitted[c] = 0
  };
  atomic { fenced[c]++; dispatchLock = 0 }  /* release */
}

/* [admitCores] */
#ifdef OLD_INCARNATION
#define IS_READY(c) (!admitted[c] && readyWord[c] != 0)
#else
#define IS_READY(c) (!admitted[c] && readyWord[c] == fenced[c] + 1)
#endif
active proctype Poller() {
  byte t, lane, seen;
  do
  :: pollOldest(0)
  :: pollOldest(1)
  :: atomic { IS_READY(0) -> admitted[0] = 1 }
  :: atomic { IS_READY(1) -> admitted[1] = 1 }
  :: recover(0)
  :: recover(1)
  :: ALL_ENDED -> break
  od
}

/* [Core]: [announce], [step], [run]. `me` is its incarnation. */
inline announce(c) {
#ifndef NO_FENCE_WAIT
  if
  :: fenced[c] + 1 == me     /* wait until the one before is dealt with */
  :: ALL_ENDED -> goto left  /* the session is over */
  fi;
#endif
#ifdef READY_FIRST
  readyWord[c] = me;
#endif
  do
  :: lane < LANES -> atomic { cond[L(c, lane)] = CORE_IDLE; lane++ }
  :: else -> break
  od;
#ifndef READY_FIRST
  readyWord[c] = me;         /* release */
#endif
  lane = 0
}
inline step(c) {
  atomic {  /* ACK */
    data[L(c, lane)] != served[lane] && data[L(c, lane)] != SCHEDULER_IDLE ->
    word = data[L(c, lane)]; cond[L(c, lane)] = word
  };
  atomic {  /* the descriptor, and the kernel begins: it may store from now on */
    t = slotTask[DESCRIPTOR(word)];
    assert(!(ended & BIT(t)));
    runs[t]++;
    assert(IS_IDEMPOTENT(t) || runs[t] == 1)
  };
#ifdef FIN_EARLY
  cond[L(c, lane)] = word | FIN;
#endif
  finished = finished | BIT(t);    /* the kernel's last store */
  atomic {
    cond[L(c, lane)] = word | FIN; /* release */
    served[lane] = word; lane = (lane + 1) % LANES; word = 0; t = 0
  }
}
proctype Worker(byte c; byte me) {
  byte served[LANES] = SCHEDULER_IDLE, lane, word, t;
  {
    announce(c);
    do
    :: step(c)
    :: ALL_ENDED -> break
    od
  } unless {
    killed[c] >= me
  };
left:
  skip
}

/* SIGKILL at any instruction; the supervisor starts the next worker, in its own time. */
active proctype Supervisor() {
  atomic {
    incarnation[0] = 1; run Worker(0, 1);
#if CORES == 2
    incarnation[1] = 1; run Worker(1, 1)
#endif
  };
  do
  :: atomic { kills < KILLS && killed[0] < incarnation[0] -> killed[0] = incarnation[0]; kills++ }
  :: atomic { kills < KILLS && killed[1] < incarnation[1] -> killed[1] = incarnation[1]; kills++ }
  :: atomic { killed[0] == incarnation[0] -> incarnation[0]++; run Worker(0, incarnation[0]) }
  :: atomic { CORES == 2 && killed[1] == incarnation[1] -> incarnation[1]++; run Worker(1, incarnation[1]) }
  :: ALL_ENDED -> break
  od
}
