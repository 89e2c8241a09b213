// A line of the last two minutes, as SVG. Says nothing that does not stand beside it as a number.

const SVG = 'http://www.w3.org/2000/svg';
export const SAMPLES = 60;
const [WIDTH, HEIGHT] = [72, 18];

export class Sparkline {
  #samples = [];
  #line = document.createElementNS(SVG, 'path');
  #area = document.createElementNS(SVG, 'path');

  constructor(kind) {
    this.element = document.createElementNS(SVG, 'svg');
    this.element.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute('class', `spark ${kind}`);
    this.element.setAttribute('aria-hidden', 'true');
    this.#line.setAttribute('class', 'line');
    this.#area.setAttribute('class', 'area');
    this.element.append(this.#area, this.#line);
  }

  /** What was before, the oldest first. */
  begin(samples) {
    this.#samples = samples.slice(-SAMPLES);
  }

  add(value) {
    this.#samples.push(value);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#draw();
  }

  #draw() {
    const most = Math.max(1, ...this.#samples.map((value) => value ?? 0));
    const offset = SAMPLES - this.#samples.length;
    const step = WIDTH / (SAMPLES - 1);
    let [line, area, run] = ['', '', []];
    const end = () => {
      if (run.length > 0) {
        const points = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L');
        line += `M${points}`;
        area += `M${run[0][0].toFixed(1)} ${HEIGHT}L${points}L${run.at(-1)[0].toFixed(1)} ${HEIGHT}Z`;
      }
      run = [];
    };
    this.#samples.forEach((value, index) => {
      if (value === null) end();
      else run.push([(index + offset) * step, HEIGHT - 1 - (value / most) * (HEIGHT - 3)]);
    });
    end();
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', area);
  }
}
