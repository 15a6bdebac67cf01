// What is painted: vectors in the original's pixels, drawn the same way for the screen and the mask.
//
// An operation is one of
//   {kind: "stroke", erase, points: [x, y, radius, x, y, radius, ...]}
//   {kind: "lasso", erase, points: [x, y, x, y, ...]}
//   {kind: "box", erase, x0, y0, x1, y1}
//   {kind: "mask", blob, bitmap}      an uploaded mask; bitmap: alpha 255 = completed

/** Draw an operation; the context's transform maps the original's pixels to the canvas. */
export function paint(context, operation, width, height) {
  context.globalCompositeOperation = operation.erase ? "destination-out" : "source-over";
  const { points } = operation;
  if (operation.kind === "stroke") {
    stroke(context, points);
  } else if (operation.kind === "lasso") {
    context.beginPath();
    for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
    context.fill();
  } else if (operation.kind === "box") {
    const { x0, y0, x1, y1 } = operation;
    context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  } else {
    context.imageSmoothingEnabled = false;
    context.drawImage(operation.bitmap, 0, 0, width, height);
  }
  context.globalCompositeOperation = "source-over";
}

function stroke(context, points) {
  context.lineCap = context.lineJoin = "round";
  const radius = points[2];
  let even = true;
  for (let i = 5; i < points.length; i += 3) even &&= points[i] === radius;
  if (points.length === 3) {
    dot(context, points[0], points[1], radius);
  } else if (even) {
    context.lineWidth = 2 * radius;
    context.beginPath();
    for (let i = 0; i < points.length; i += 3) context.lineTo(points[i], points[i + 1]);
    context.stroke();
  } else {
    for (let i = 3; i < points.length; i += 3) {
      context.lineWidth = points[i - 1] + points[i + 2];
      context.beginPath();
      context.moveTo(points[i - 3], points[i - 2]);
      context.lineTo(points[i], points[i + 1]);
      context.stroke();
    }
  }
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
