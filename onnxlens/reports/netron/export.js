// A function from a title to the SVG's text and its size, evaluated in Netron's page.
(title) => {
    const shown = document.getElementById("canvas");
    const box = shown.querySelector("#origin").getBBox();
    const margin = 20;
    const width = Math.ceil(box.width + 2 * margin);
    const height = Math.ceil(box.height + 2 * margin);

    // A reader scrolls and scales the page: none of that is the picture's.
    const picture = shown.cloneNode(true);
    for (const name of ["style", "class", "viewBox"]) picture.removeAttribute(name);
    picture.setAttribute("width", width);
    picture.setAttribute("height", height);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.querySelector("#origin").setAttribute(
        "transform", `translate(${margin - box.x}, ${margin - box.y})`
    );
    picture.querySelectorAll(".edge-paths-hit-test").forEach((part) => part.remove());
    // Shapes stand in brackets of a Chinese font, which is where few fonts are.
    for (const part of picture.querySelectorAll(".node-argument tspan"))
        if (part.childElementCount === 0)
            part.textContent = part.textContent.replace(/^\u3008/, "\u2039").replace(/\u3009$/, "\u203a");
    // Thirteen decimals of a pixel are most of a large picture's bytes.
    for (const path of picture.querySelectorAll("path"))
        path.setAttribute("d", path.getAttribute("d").replace(/\d+\.\d{2,}/g, (n) => +(+n).toFixed(1)));
    const background = picture.querySelector("#background");
    for (const [name, value] of Object.entries({ x: 0, y: 0, width, height, fill: "#fff" }))
        background.setAttribute(name, value);
    background.removeAttribute("pointer-events");

    // Of Netron's rules those that hold on paper: light, and with nothing pointed at.
    const sheet = [...document.styleSheets].find((one) => (one.href || "").endsWith("/grapher.css"));
    const rules = [...sheet.cssRules].filter(
        (rule) => rule.selectorText && !/:hover|\.select/.test(rule.selectorText)
    );
    const legible = ".edge-label { paint-order: stroke; stroke: #fff; stroke-width: 3px; }"; // over an edge
    const style = [...rules.map((rule) => rule.cssText), legible].join("\n");
    const element = (name, text) => {
        const made = document.createElementNS("http://www.w3.org/2000/svg", name);
        made.textContent = text;
        return made;
    };
    picture.prepend(element("title", title), element("style", style));
    return { svg: new XMLSerializer().serializeToString(picture), width, height };
}
