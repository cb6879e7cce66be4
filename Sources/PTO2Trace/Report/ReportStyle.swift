/// How the page looks.
let reportStyle = """
  :root { --back: #fff; --text: #1b1f24; --soft: #59636e; --line: #d8dee4; --panel: #f6f8fa;
    --accent: #0969da; --bad: #cf222e; --second: #bc4c00; }
  @media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3;
    --soft: #9198a1; --line: #30363d; --panel: #151b23; --accent: #58a6ff; --bad: #ff7b72;
    --second: #f0883e; } }
  * { box-sizing: border-box; }
  body { margin: 0 auto; padding: 16px; max-width: 1400px; background: var(--back);
    color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
  h1 { font-size: 20px; margin: 0 0 4px; overflow-wrap: anywhere; }
  h2 { font-size: 15px; margin: 24px 0 6px; }
  p { margin: 0 0 8px; color: var(--soft); }
  .bad { color: var(--bad); }
  .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 8px;
    margin: 12px 0; }
  .card { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
    padding: 8px 10px; }
  .card b { display: block; font-size: 18px; font-variant-numeric: tabular-nums; }
  .card span { color: var(--soft); font-size: 12px; }
  canvas { display: block; width: 100%; border: 1px solid var(--line); border-radius: 6px;
    background: var(--panel); }
  #lanes { touch-action: pan-y; cursor: crosshair; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid var(--line);
    white-space: nowrap; }
  th { color: var(--soft); font-weight: 500; }
  th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9em; }
  .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
  .grid > div { min-width: 0; }
  .grid h3 { font-size: 13px; margin: 0 0 4px; font-weight: 500; }
  .key { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 6px 0; color: var(--soft);
    font-size: 12px; }
  .key i { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
    margin-right: 5px; }
  .bar { display: flex; gap: 8px; align-items: center; margin-bottom: 6px; flex-wrap: wrap; }
  button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
    border-radius: 6px; padding: 2px 10px; cursor: pointer; }
  #tip { position: fixed; pointer-events: none; background: var(--text); color: var(--back);
    padding: 5px 8px; border-radius: 5px; font-size: 12px; max-width: 300px; display: none;
    white-space: pre-line; z-index: 2; overflow-wrap: anywhere; }
  @media (max-width: 600px) { body { padding: 10px; } .grid { grid-template-columns: 1fr; } }
  @media print { button, #tip { display: none; } }

  """

let reportBody = """
  <body>
  <h1 id="title"></h1>
  <p id="lead"></p>
  <div class="cards" id="cards"></div>
  <h2>Cores over time</h2>
  <div class="bar"><button id="in">Zoom in</button><button id="out">Zoom out</button>
  <button id="all">All</button><span id="range"></span></div>
  <canvas id="lanes"></canvas>
  <div class="key" id="kernels"></div>
  <h2>Critical path</h2>
  <p>What the time was spent on, from the last kernel back to what each thing waited for.</p>
  <canvas id="path"></canvas>
  <div class="key" id="pathKey"></div>
  <div class="scroll"><table id="pathTable"></table></div>
  <h2>Where the cores' time went</h2>
  <canvas id="where"></canvas>
  <h2>Kernels</h2>
  <div class="scroll"><table id="kernelTable"></table></div>
  <div class="scroll"><table id="scopeTable"></table></div>
  <h2>Latencies</h2>
  <div class="grid" id="stages"></div>
  <h2>Rings</h2>
  <p>Tasks from submission to the watermark of RELEASED, and to that of CONSUMED.</p>
  <div class="grid" id="rings"></div>
  <h2 id="eventsTitle">Deaths, restarts and faults</h2>
  <div class="scroll"><table id="events"></table></div>
  <div id="tip"></div>

  """
