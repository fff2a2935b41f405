// SPDX-License-Identifier: Apache-2.0
// Shows /admin/state once a second (see cast/server/console.h).
const numbers = document.getElementById("numbers");
const channels = document.getElementById("channels");
const shown = ["clients", "users", "subscriptions", "channels", "published", "delivered"];

function cell(kind, text) {
    const element = document.createElement(kind);
    element.textContent = text;
    return element;
}

async function show() {
    const answer = await fetch("admin/state");
    if (!answer.ok) {
        numbers.replaceChildren(cell("dt", "not authorized"));
        return;
    }
    const state = await answer.json();
    numbers.replaceChildren(...shown.flatMap((n) => [cell("dt", n), cell("dd", state[n])]));
    channels.replaceChildren(...state.list.map((c) => {
        const row = document.createElement("tr");
        row.append(cell("td", c.channel), cell("td", c.clients));
        return row;
    }));
}

setInterval(() => show().catch(() => {}), 1000);
show().catch(() => {});
