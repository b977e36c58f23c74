// Small pictures for buttons, which are named in words elsewhere.

const iconPaths = {
  react: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM5.6 6.4v.3M10.4 6.4v.3M5.3 9.6a3.3 3.3 0 0 0 5.4 0",
  reply: "M6.5 3.5 2.5 7.5l4 4M2.5 7.5h7a4 4 0 0 1 4 4v1",
  thread: "M2.5 3h11v7.5H8L5 13.2v-2.7H2.5zM5.3 5.7h5.4M5.3 7.9h3.4",
  pin: "M5.2 2h5.6l-.8 4.2 2.3 2.5H3.7L6 6.2zM8 8.7V14",
  edit: "M2.8 13.2l.9-3.2 7-7 2.3 2.3-7 7zM9.3 4.4l2.3 2.3",
  delete: "M3 4.3h10M6.3 4.3V2.5h3.4v1.8M4.4 4.3l.7 9.2h5.8l.7-9.2M6.8 6.8v4.2M9.2 6.8v4.2",
  more: "M3.2 8h.1M8 8h.1M12.8 8h.1",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
};

function icon(name) {
  const create = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const picture = create("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "icon", "aria-hidden": "true" });
  picture.append(create("path", { d: iconPaths[name] }));
  return picture;
}
