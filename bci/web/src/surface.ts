// A 2D canvas that follows the size of its element and the pixels of its screen.

export interface Surface {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  width: number; // CSS pixels
  height: number;
}

export function surface(canvas: HTMLCanvasElement, resized: () => void): Surface {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser has no 2D canvas");
  const s: Surface = { canvas, context, width: 0, height: 0 };
  follow(canvas, (w, h, ratio) => {
    s.width = w;
    s.height = h;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    resized();
  });
  return s;
}

/** Calls f with the element's size, soon and whenever it changes. */
export function follow(canvas: HTMLCanvasElement, f: (w: number, h: number, ratio: number) => void): void {
  const fit = (): void => {
    const ratio = devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) return;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    f(box.width, box.height, ratio);
  };
  new ResizeObserver(fit).observe(canvas); // which also calls it once at first
}
