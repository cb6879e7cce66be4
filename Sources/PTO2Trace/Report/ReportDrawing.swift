/// Draws, and follows the mouse.
let reportDrawing = #"""
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tip = byId('tip');

  function prepare(canvas, height) {
    const scale = window.devicePixelRatio || 1, width = canvas.clientWidth;
    canvas.style.height = height + 'px';
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext('2d');
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = '11px system-ui, sans-serif';
    pen.textBaseline = 'middle';
    return { pen, width, height };
  }

  function showTip(text, event) {
    tip.textContent = text;
    tip.style.display = text ? 'block' : 'none';
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4)) + 'px';
    tip.style.top = (event.clientY + 16 + box.height > innerHeight
      ? event.clientY - box.height - 8 : event.clientY + 16) + 'px';
  }

  // The first place whose value is above a limit.
  function above(values, size, limit) {
    let low = 0, high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] > limit) high = middle; else low = middle + 1;
    }
    return low;
  }

  const busyBefore = (lane, at) => {
    const n = above(lane.end, lane.size, at);
    if (n >= lane.size) return lane.busy[lane.size];
    if (at <= lane.begin[n]) return lane.busy[n];
    return lane.busy[n] + (lane.busy[n + 1] - lane.busy[n]) * (at - lane.begin[n])
      / (lane.end[n] - lane.begin[n]);
  };

  const view = { from: 0, to: meta.span };
  const margin = 46, axis = 22;
  const row = Math.max(9, Math.min(26, Math.floor(700 / lanes.length)));
  const plot = () => Math.max(1, byId('lanes').clientWidth - margin);
  const timeAt = x => view.from + (x - margin) / plot() * (view.to - view.from);

  function drawAxis(pen, width) {
    const range = view.to - view.from, most = Math.max(2, Math.floor(width / 110));
    let step = Math.pow(10, Math.floor(Math.log10(range / most)));
    while (range / step > most) step *= step.toString()[0] === '2' ? 2.5 : 2;
    pen.textAlign = 'left';
    for (let at = Math.ceil(view.from / step) * step; at < view.to; at += step) {
      const x = margin + (at - view.from) / range * width;
      pen.fillStyle = style('--line');
      pen.fillRect(x, 0, 1, axis + lanes.length * row);
      pen.fillStyle = style('--soft');
      if (x + 60 < margin + width) pen.fillText(time(at), x + 3, axis / 2);
    }
  }

  function drawLane(pen, lane, y, width) {
    const range = view.to - view.from, scale = width / range, height = row - 2;
    const first = above(lane.end, lane.size, view.from);
    const last = above(lane.begin, lane.size, view.to);
    if (last - first > 3 * width) {
      let before = busyBefore(lane, view.from);
      for (let x = 0; x < width; x++) {
        const until = view.from + (x + 1) / scale, busy = busyBefore(lane, until);
        const n = Math.min(lane.size - 1, above(lane.end, lane.size, until - 0.5 / scale));
        pen.globalAlpha = Math.min(1, 0.15 + 0.85 * (busy - before) * scale);
        pen.fillStyle = colour(lane.kernel[n]);
        if (busy > before) pen.fillRect(margin + x, y, 1, height);
        before = busy;
      }
      pen.globalAlpha = 1;
      return;
    }
    for (let n = first; n < last; n++) {
      const x = Math.max(0, (lane.begin[n] - view.from) * scale);
      const end = Math.min(width, (lane.end[n] - view.from) * scale);
      pen.fillStyle = colour(lane.kernel[n]);
      pen.globalAlpha = lane.flags[n] & 1 ? 0.55 : 1;
      pen.fillRect(margin + x, y, Math.max(0.75, end - x - (end - x > 4 ? 0.5 : 0)), height);
      pen.globalAlpha = 1;
      if (lane.flags[n] & 2) {
        pen.strokeStyle = style('--bad');
        pen.lineWidth = 2;
        pen.strokeRect(margin + x + 1, y + 1, Math.max(1, end - x - 2), height - 2);
      }
      if (end - x > 44 && row > 13) {
        pen.save();
        pen.beginPath();
        pen.rect(margin + x, y, end - x - 3, height);
        pen.clip();
        pen.fillStyle = '#fff';
        pen.fillText(meta.kernels[lane.kernel[n]] || '', margin + x + 4, y + height / 2 + 1);
        pen.restore();
      }
    }
  }

  function drawLanes() {
    const { pen, width } = prepare(byId('lanes'), axis + lanes.length * row + 4);
    drawAxis(pen, width - margin);
    lanes.forEach((lane, index) => {
      pen.fillStyle = style('--soft');
      pen.textAlign = 'right';
      if (row > 10 || index % 3 === 0) {
        pen.fillText(lane.name, margin - 6, axis + index * row + row / 2);
      }
      pen.textAlign = 'left';
      drawLane(pen, lane, axis + index * row, width - margin);
    });
    for (const event of meta.events) {
      if (event.what === 'scheduler ready' || event.time < view.from || event.time > view.to) {
        continue;
      }
      const x = margin + (event.time - view.from) / (view.to - view.from) * (width - margin);
      pen.fillStyle = style('--bad');
      const y = event.core < 0 ? axis : axis + event.core * row;
      pen.fillRect(x - 1, y, 2, event.core < 0 ? lanes.length * row : row);
    }
    byId('range').textContent = time(view.from) + ' to ' + time(view.to);
  }

  let isDue = false;
  function redraw() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; drawLanes(); });
  }
  function look(from, to) {
    const range = Math.max(50, Math.min(meta.span, to - from));
    view.from = Math.max(0, Math.min(meta.span - range, from));
    view.to = view.from + range;
    redraw();
  }
  function zoom(factor, at) {
    look(at - (at - view.from) * factor, at + (view.to - at) * factor);
  }
  const centre = () => (view.from + view.to) / 2;
  byId('in').onclick = () => zoom(0.5, centre());
  byId('out').onclick = () => zoom(2, centre());
  byId('all').onclick = () => look(0, meta.span);

  function hover(event) {
    const x = event.offsetX, index = Math.floor((event.offsetY - axis) / row), lane = lanes[index];
    if (!lane || x < margin) return showTip('', event);
    const at = timeAt(x), slack = (view.to - view.from) / plot();
    const n = above(lane.end, lane.size, at - slack);
    if (n >= lane.size || lane.begin[n] > at + slack) {
      return showTip(lane.name + '\nnothing at ' + time(at), event);
    }
    const name = meta.kernels[lane.kernel[n]] || 'kernel ' + lane.kernel[n];
    const length = lane.end[n] - lane.begin[n], before = n > 0 ? lane.end[n - 1] : 0;
    const what = lane.flags[n] & 1 ? count(lane.extra[n]) + ' runs, busy '
      + share(lane.busy[n + 1] - lane.busy[n], length)
      : 'task ' + lane.extra[n] % 8 + ':' + ((Math.floor(lane.extra[n] / 8) + 4294967296)
        % 4294967296);
    showTip(name + '\n' + what + ' on ' + lane.name + '\n' + time(length) + ' from '
      + time(lane.begin[n]) + '\nafter ' + time(lane.begin[n] - before) + ' without a kernel'
      + (lane.flags[n] & 2 ? '\nlost: its worker died' : ''), event);
  }

  const canvas = byId('lanes'), fingers = new Map();
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    if (event.shiftKey) {
      const move = (event.deltaY || event.deltaX) * (view.to - view.from) / 1000;
      return look(view.from + move, view.to + move);
    }
    zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) / 250), timeAt(event.offsetX));
  }, { passive: false });
  canvas.addEventListener('pointerdown', event => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.offsetX);
  });
  canvas.addEventListener('pointermove', event => {
    if (!fingers.has(event.pointerId)) return hover(event);
    const old = fingers.get(event.pointerId), scale = (view.to - view.from) / plot();
    if (fingers.size === 2) {
      const other = [...fingers].find(finger => finger[0] !== event.pointerId)[1];
      const now = Math.max(8, Math.abs(event.offsetX - other));
      zoom(Math.max(8, Math.abs(old - other)) / now, timeAt((event.offsetX + other) / 2));
    } else {
      const move = (old - event.offsetX) * scale;
      look(view.from + move, view.to + move);
    }
    fingers.set(event.pointerId, event.offsetX);
  });
  for (const name of ['pointerup', 'pointercancel', 'pointerleave']) {
    canvas.addEventListener(name, event => {
      fingers.delete(event.pointerId);
      if (name === 'pointerleave') showTip('', event);
    });
  }
  canvas.addEventListener('dblclick', event => zoom(0.25, timeAt(event.offsetX)));
  addEventListener('keydown', event => {
    const move = (view.to - view.from) / 5;
    if (event.key === '+' || event.key === '=') zoom(0.5, centre());
    if (event.key === '-') zoom(2, centre());
    if (event.key === '0') look(0, meta.span);
    if (event.key === 'ArrowLeft') look(view.from - move, view.to - move);
    if (event.key === 'ArrowRight') look(view.from + move, view.to + move);
  });

  function drawPath() {
    const { pen, width } = prepare(byId('path'), 34);
    const tiles = meta.path.tiles, kinds = meta.path.kinds.length;
    for (let n = 0; n < tiles.length; n += 3) {
      const x = tiles[n + 1] / meta.span * width, end = tiles[n + 2] / meta.span * width;
      pen.fillStyle = tiles[n] < kinds ? pathColours[tiles[n]] : colour(tiles[n] - kinds);
      pen.fillRect(x, tiles[n] < kinds ? 18 : 2, Math.max(0.5, end - x), 14);
    }
  }
  byId('path').addEventListener('pointermove', event => {
    const at = event.offsetX / byId('path').clientWidth * meta.span, tiles = meta.path.tiles;
    for (let n = 0; n < tiles.length; n += 3) {
      if (at >= tiles[n + 1] && at < tiles[n + 2]) {
        const kinds = meta.path.kinds.length;
        return showTip((tiles[n] < kinds ? meta.path.kinds[tiles[n]].name
          : meta.kernels[tiles[n] - kinds]) + '\n' + time(tiles[n + 2] - tiles[n + 1]) + ' from '
          + time(tiles[n + 1]), event);
      }
    }
    showTip('', event);
  });
  byId('path').addEventListener('pointerleave', event => showTip('', event));

  function drawWhere() {
    const { pen, width } = prepare(byId('where'), meta.cores.length * row + 4);
    meta.cores.forEach((core, index) => {
      const y = 2 + index * row, full = width - margin - 56;
      pen.textAlign = 'right';
      pen.fillStyle = style('--soft');
      if (row > 10 || index % 3 === 0) pen.fillText(core.name, margin - 6, y + row / 2);
      pen.fillStyle = style('--line');
      pen.fillRect(margin, y + 1, full, row - 3);
      pen.fillStyle = style('--accent');
      pen.fillRect(margin, y + 1, full * core.busy / meta.span, row - 3);
      pen.fillStyle = style('--soft');
      if (row > 10) pen.fillText(share(core.busy, meta.span), width - 6, y + row / 2);
    });
  }

  function panel(parent, title, draw) {
    const box = element('div', '', byId(parent));
    element('h3', title, box);
    const made = element('canvas', '', box);
    return () => draw(made);
  }

  const stagePanels = meta.stages.map(stage => panel('stages', stage.name + ': median '
    + time(stage.median_ns) + ', 99 % ' + time(stage.p99_ns) + ', longest ' + time(stage.max_ns),
    canvas => {
      const { pen, width } = prepare(canvas, 110);
      const bars = stage.bars.map(Number);
      let first = bars.findIndex(bar => bar > 0), last = bars.length;
      while (last > first && !bars[last - 1]) last--;
      first = Math.floor(first / 4) * 4;
      const most = Math.max(...bars), step = (width - 12) / Math.max(8, last - first);
      pen.textAlign = 'left';
      for (let n = first; n < last; n++) {
        const height = bars[n] ? Math.max(1, bars[n] / most * 80) : 0, x = 6 + (n - first) * step;
        pen.fillStyle = style('--accent');
        pen.fillRect(x, 88 - height, Math.max(1, step - 1), height);
        if (n % 4 === 0 && (n - first) * step < width - 60
          && (n - first) % Math.max(4, Math.ceil(60 / step / 4) * 4) === 0) {
          pen.fillStyle = style('--soft');
          pen.fillText(time(Math.pow(2, n / 4)), x, 100);
        }
      }
    }));

  function levels(pen, values, width, most, shade, isFilled) {
    pen.beginPath();
    values.forEach((value, n) => {
      const x = n / values.length * width, y = 108 - value / most * 98;
      if (n) pen.lineTo(x, y); else pen.moveTo(x, y);
    });
    pen.strokeStyle = pen.fillStyle = shade;
    pen.lineWidth = 1.2;
    pen.stroke();
    if (!isFilled) return;
    pen.lineTo(width, 108);
    pen.lineTo(0, 108);
    pen.globalAlpha = 0.25;
    pen.fill();
    pen.globalAlpha = 1;
  }

  const ringPanels = meta.rings.map(ring => {
    const released = ring.released.map(Number), consumed = ring.consumed.map(Number);
    const peak = values => count(Math.max(...values));
    return panel('rings', 'ring ' + ring.ring + ': RELEASED at most ' + peak(released) + ' of '
      + count(ring.window) + ' (blue), CONSUMED ' + peak(consumed) + ' of '
      + count(ring.consumedWindow) + ' (orange)', canvas => {
      const { pen, width } = prepare(canvas, 112);
      const most = Math.max(1, ...released, ...consumed);
      levels(pen, consumed, width, most, style('--second'), false);
      levels(pen, released, width, most, style('--accent'), true);
    });
  });
  const ready = meta.ready.map(Number);
  ringPanels.push(panel('rings', 'READY and not dispatched: at most '
    + count(Math.max(...ready)), canvas => {
    const { pen, width } = prepare(canvas, 112);
    levels(pen, ready, width, Math.max(1, ...ready), style('--accent'), true);
  }));

  function drawAll() {
    drawLanes();
    drawPath();
    drawWhere();
    for (const draw of stagePanels.concat(ringPanels)) draw();
  }
  addEventListener('resize', drawAll);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  drawAll();

  """#
