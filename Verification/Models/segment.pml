/* A segment's name: three processes create, attach, sweep and die at any step.
 *
 * Bounds: processes 0 and 1 create once each, process 2 attaches once; OBJECTS objects; any
 * KILLS of them may die (SIGKILL) anywhere, creation may fail after the object exists (/dev/shm full), a creator may end its
 * session. "The deadline has passed" is a free choice at each look: the model relies on no duration.
 * Locks are those of the open file (F_OFD_SETLK): per object and process, gone with the process or the
 * descriptor. STALE: nobody dies or fails but the one who left an object behind; then somebody must get
 * the name in the end. Swift functions are named in brackets. */

#ifndef OBJECTS
#define OBJECTS 3
#endif
#ifndef KILLS
#define KILLS   1
#endif
#define NONE    7
#define ME      (1 << me)

byte name = NONE;                 /* what /dev/shm/NAME leads to */
byte objects;                     /* made so far */
bit  magic[OBJECTS], header[OBJECTS];
byte lockShared[OBJECTS];         /* Place.liveness, shared: a set of processes */
byte lockExclusive[OBJECTS];      /* Place.liveness, exclusive */
byte lockOwner[OBJECTS];          /* Place.orchestrator, exclusive */

/* Ghosts */
byte owned[3] = NONE;             /* the object a live process has created and not given up */
byte dead;                        /* processes that are no more */
bit  wasReplaced;                 /* somebody got the name */
bit  isCut;                       /* somebody wanted one object more than there are */

#define OTHERS(set) ((set) & ~ME)
#define close(o) lockShared[o] = OTHERS(lockShared[o]); lockExclusive[o] = OTHERS(lockExclusive[o]); lockOwner[o] = OTHERS(lockOwner[o])

/* No name of a live session is ever taken away, and no two live sessions have one name. */
inline judge() {
  assert(owned[0] == NONE || name == owned[0]);
  assert(owned[1] == NONE || name == owned[1])
}
inline shmUnlink() { name = NONE; judge() }

/* [SharedMemoryObject.tryLock] on the liveness byte; taking one kind gives back the other */
inline tryExclusive(o, got) {
  atomic {
    got = (!OTHERS(lockShared[o]) && !OTHERS(lockExclusive[o]));
    if
    :: got -> lockExclusive[o] = ME; lockShared[o] = 0
    :: else
    fi
  }
}
inline tryShared(o, got) {
  atomic {
    got = !OTHERS(lockExclusive[o]);
    if
    :: got -> lockShared[o] = lockShared[o] | ME; lockExclusive[o] = 0
    :: else
    fi
  }
}

/* [removeIfDead]; `late`: the deadline has passed */
inline removeIfDead() {
  if
  :: atomic { name == NONE -> old = NONE }  /* open: gone already */
  :: atomic { name != NONE -> old = name }
  fi;
  if
  :: old == NONE
  :: else ->
     seen = magic[old];  /* [peekHeader], before the lock */
#ifdef SWEEP_WITHOUT_LOCK
     got = 1;
#else
     tryExclusive(old, got);
#endif
     if
     :: got && (seen || late) ->
        if  /* [isStillNamed], then shm_unlink: two steps */
#ifdef NO_NAME_CHECK
        :: true -> atomic { shmUnlink() }
#else
        :: name == old -> atomic { shmUnlink() }
        :: name != old
#endif
        fi
     :: got && !seen && !late -> tryShared(old, got)  /* a creator between open and lock: gets its time */
     :: !got && !seen && !late
     :: !got && (seen || late) ->
        gaveUp = 1
     fi;
     atomic { close(old); old = NONE; seen = 0; got = 0 }
  fi
}

/* [Segment.create] */
proctype Creator(byte me) {
  byte mine = NONE, old = NONE;
  bit seen, got, late, gaveUp;
  {
    do  /* [createObject] */
    :: if :: true :: late = 1 fi;
       if
       :: atomic { name == NONE && objects < OBJECTS -> mine = objects; objects++; name = mine };
          /* O_EXCL */
          atomic { lockOwner[mine] = ME };
          tryShared(mine, got);
          if
#ifdef NO_CHECK_AFTER_LOCK
          :: atomic { got -> got = 0; owned[me] = mine; break }
#else
          :: atomic { got && name == mine -> got = 0; owned[me] = mine; wasReplaced = 1; judge(); break }
          :: got && name != mine
#endif
          :: !got
          fi;
          /* swept, or looked at, between open and lock: once more, while there is time */
          atomic { close(mine); mine = NONE; got = 0; gaveUp = late }
       :: atomic { name == NONE && objects == OBJECTS -> isCut = 1; goto left }  /* bound of the model */
       :: name != NONE -> removeIfDead()
       fi;
       if :: gaveUp -> goto left :: else fi
    od;
    /* [fill], [publish] */
    if
    :: true ->
#ifdef MAGIC_FIRST
       magic[mine] = 1;
       header[mine] = 1;
#else
       header[mine] = 1;
       magic[mine] = 1;  /* release */
#endif
       judge();
       /* the session, then [Segment.unlink]: name gone while the locks are held */
       if
       :: name == mine -> atomic { owned[me] = NONE; shmUnlink() }
       :: name != mine
       fi;
       atomic { owned[me] = NONE; close(mine) }
#ifndef STALE
    :: true ->
       /* /dev/shm is full: the segment, and with it the locks, is dropped; then the name is removed */
       atomic { owned[me] = NONE; close(mine) };
#ifdef UNLINK_AFTER_CLOSE
       if :: atomic { name != NONE -> shmUnlink() } :: name == NONE fi
#else
       late = 1; removeIfDead()
#endif
#endif
    fi
  } unless {
    dead & ME
  };
left:
  skip
}

/* [Segment.attach], by the scheduler; when the orchestrator has died, [SchedulerLoop.finish] unlinks */
proctype Attacher(byte me) {
  byte mine = NONE;
  bit got;
  {
    if
    :: atomic { name != NONE -> mine = name }  /* [openWhenNamed] */
    :: goto left                               /* late */
    fi;
    if
    :: magic[mine]                             /* [headerWhenPublished] */
    :: goto left                               /* two seconds are over */
    fi;
    assert(header[mine]);                      /* never a half-initialised segment */
    tryShared(mine, got);
    if :: !got -> goto left :: else fi;
    /* attached: while this lock is held nobody sweeps it */
    if
    :: lockOwner[mine] == 0 ->                 /* the orchestrator is gone */
       if
       :: name == mine -> atomic { shmUnlink() }
       :: name != mine
       fi
    :: true
    fi;
    got = 0
  } unless {
    dead & ME
  };
left:
  if :: mine != NONE -> atomic { close(mine) } :: else fi
}

/* SIGKILL: the process is no more, the kernel gives its locks back. Its name stays. */
inline kill(p) {
  atomic {
    !(dead & (1 << p)) ->
    dead = dead | (1 << p); owned[p] = NONE;
    o = 0;
    do
    :: o < OBJECTS ->
       lockShared[o] = lockShared[o] & ~(1 << p); lockExclusive[o] = lockExclusive[o] & ~(1 << p);
       lockOwner[o] = lockOwner[o] & ~(1 << p); o++
    :: else -> o = 0; break
    od
  }
}
active proctype Killer() {
  byte o, kills;
#ifdef STALE
  atomic {
    name = 0; objects = 1;
    if :: magic[0] = 1 :: true fi;  /* died before or after the magic */
    run Creator(0); run Creator(1)
  };
  _nr_pr == 1;
  assert(wasReplaced || isCut)      /* a stale segment is replaced */
#else
  atomic { run Creator(0); run Creator(1); run Attacher(2) };
  do
  :: kills < KILLS -> if :: kill(0) :: kill(1) :: kill(2) fi; kills++
  :: break
  od
#endif
}
