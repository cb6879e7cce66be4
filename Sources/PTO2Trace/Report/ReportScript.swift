/// Reads the data, and fills texts and tables.
let reportScript = #"""
  'use strict';
  const byId = id => document.getElementById(id);
  const meta = JSON.parse(byId('meta').textContent);
  const colours = ['#4e79a7', '#f28e2b', '#59a14f', '#b07aa1', '#e15759', '#76b7b2', '#edc948',
    '#ff9da7', '#9c755f', '#86bcb6', '#8cd17d', '#d37295', '#499894', '#d7b5a6', '#79706e'];
  const pathColours = ['#4e79a7', '#e15759', '#f28e2b', '#edc948', '#b07aa1', '#79706e',
    '#bab0ac'];
  const ranks = new Map(meta.table.map((kernel, n) => [meta.kernels.indexOf(kernel.name), n]));
  const colour = kernel => colours[(ranks.get(kernel) || 0) % colours.length];
  const count = number => Math.round(number).toLocaleString('en');
  const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(1) + '\u00a0%' : '0\u00a0%';

  function time(ns) {
    const size = Math.abs(ns);
    // The spaces do not break a line.
    if (size < 1000) return Math.round(ns) + '\u00a0ns';
    if (size < 1e6) return (ns / 1e3).toFixed(size < 1e4 ? 2 : 1) + '\u00a0µs';
    if (size < 1e9) return (ns / 1e6).toFixed(size < 1e7 ? 2 : 1) + '\u00a0ms';
    return (ns / 1e9).toFixed(3) + '\u00a0s';
  }

  // Runs of each core: when they begin and end, what they are, and how busy it was before.
  function decode() {
    const text = atob(byId('runs').textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    let place = 0;
    function varint() {
      let value = 0, scale = 1;
      for (;;) {
        const byte = bytes[place++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
        scale *= 128;
      }
    }
    return meta.cores.map(core => {
      const lane = { name: core.name, size: 0, begin: new Float64Array(core.runs),
        end: new Float64Array(core.runs), kernel: new Uint16Array(core.runs),
        flags: new Uint8Array(core.runs), extra: new Float64Array(core.runs),
        busy: new Float64Array(core.runs + 1) };
      place = core.first;
      let now = 0, local = 0, n = 0;
      while (place < core.first + core.bytes) {
        lane.begin[n] = now + varint();
        now = lane.end[n] = lane.begin[n] + varint();
        const what = varint();
        lane.kernel[n] = Math.floor(what / 4);
        lane.flags[n] = what & 3;
        let busy = now - lane.begin[n];
        if (what & 1) {
          lane.extra[n] = varint();
          busy = varint();
        } else {
          const task = varint(), zigzag = Math.floor(task / 8);
          local += zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
          lane.extra[n] = local * 8 + task % 8;
        }
        lane.busy[n + 1] = lane.busy[n] + busy;
        n++;
      }
      lane.size = n;
      return lane;
    });
  }
  const lanes = decode();

  function element(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  function table(id, head, rows) {
    const place = byId(id);
    const top = place.createTHead().insertRow();
    for (const text of head) element('th', text, top);
    const body = place.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      row.forEach(text => element('td', text, line));
    }
  }

  function key(parent, pairs) {
    for (const [shade, text] of pairs) {
      const item = element('span', '', parent);
      element('i', '', item).style.background = shade;
      item.append(text);
    }
  }

  const busyTime = meta.cores.reduce((sum, core) => sum + core.busy, 0);
  byId('title').textContent = 'pto2 session ' + meta.session;
  byId('lead').textContent = count(meta.tasks) + ' tasks, ' + count(meta.runs) + ' kernel runs on '
    + meta.cores.length + ' cores in ' + time(meta.span) + '.'
    + (meta.shown < meta.runs ? ' ' + count(meta.runs - meta.shown)
      + ' short runs are drawn together with their neighbours.' : '')
    + (meta.ahead ? ' ' + count(meta.ahead) + (meta.ahead === 1 ? ' task was' : ' tasks were')
      + ' dispatched before READY.' : '');
  if (meta.dropped) {
    byId('lead').after(Object.assign(element('p', 'Incomplete: ' + count(meta.dropped)
      + ' records were dropped. A larger --trace-buffer takes more.'), { className: 'bad' }));
  }
  const lost = meta.table.reduce((sum, kernel) => sum + kernel.lost, 0);
  for (const [text, label] of [[time(meta.span), 'makespan'],
    [count(meta.tasks / meta.span * 1e9) + '/s', 'tasks'],
    [share(busyTime, meta.span * meta.cores.length), 'cores busy'],
    [share(meta.path.kinds[0].sum, meta.span), 'of the critical path in kernels'],
    [count(lost), 'runs lost with their workers'], [count(meta.dropped), 'records dropped']]) {
    const card = element('div', '', byId('cards'));
    card.className = 'card';
    element('b', text, card);
    element('span', label, card);
  }

  key(byId('kernels'), meta.table.map(kernel =>
    [colour(meta.kernels.indexOf(kernel.name)), kernel.name]));
  table('kernelTable', ['kernel', 'runs', 'time', 'of all', 'median', '90 %', '99 %', 'longest',
    'lost'], meta.table.slice().sort((a, b) => b.sum_ns - a.sum_ns).map(kernel => [kernel.name,
    count(kernel.count), time(kernel.sum_ns), share(kernel.sum_ns, busyTime),
    time(kernel.median_ns), time(kernel.p90_ns), time(kernel.p99_ns), time(kernel.max_ns),
    count(kernel.lost)]));
  if (meta.scopes.length) {
    table('scopeTable', ['scope', 'tasks', 'time in kernels', 'of all'],
      meta.scopes.slice().sort((a, b) => b.sum_ns - a.sum_ns).map(scope => [scope.name,
        count(scope.tasks), time(scope.sum_ns), share(scope.sum_ns, busyTime)]));
  }
  key(byId('pathKey'), meta.path.kinds.flatMap((kind, n) =>
    n && kind.count ? [[pathColours[n], kind.name]] : []));
  table('pathTable', ['on the critical path', 'pieces', 'time', 'of all'],
    meta.path.kinds.filter(kind => kind.count).sort((a, b) => b.sum - a.sum).map(kind =>
      [kind.name, count(kind.count), time(kind.sum), share(kind.sum, meta.span)]));
  // That the scheduler is there is no news at first.
  const start = meta.events.findIndex(event => event.what === 'scheduler ready');
  const news = meta.events.filter((event, n) => n !== start);
  if (news.length) {
    table('events', ['what', 'where', 'at', ''], news.slice(0, 500).map(event =>
      [event.what, event.core < 0 ? '' : meta.cores[event.core].name, time(event.time),
        event.text]));
  } else {
    byId('eventsTitle').remove();
  }

  """#
