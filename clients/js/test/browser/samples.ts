// SPDX-License-Identifier: PostgreSQL
// The components that the document of a streaming system shows, as they stand in it, and a page for each with nothing
// besides: React's and Vue's own compilers and runtimes.
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { compileTemplate, parse } from 'vue/compiler-sfc';

/** Where they connect to. */
export const ADDRESS = 'localhost:8000';

const REACT = `
import { useEffect, useState } from "react";

function WebSocketComponent() {
  const [ws, setWs] = useState(null);
  const [messages, setMessages] = useState([]);

  useEffect(() => {
    const websocket = new WebSocket("ws://localhost:8000/ws/connect");

    websocket.onmessage = (event) => {
      const data = JSON.parse(event.data);
      setMessages((prev) => [...prev, data]);
    };

    setWs(websocket);

    return () => websocket.close();
  }, []);

  const sendMessage = () => {
    if (ws) {
      ws.send(
        JSON.stringify({
          action: "message",
          data: { content: "Hello from React!" },
        })
      );
    }
  };

  return (
    <div>
      <button onClick={sendMessage}>Send Message</button>
      <div>
        {messages.map((msg, idx) => (
          <div key={idx}>{JSON.stringify(msg)}</div>
        ))}
      </div>
    </div>
  );
}
`;

const VUE = `
<template>
  <div>
    <button @click="sendMessage">Send Message</button>
    <div v-for="(msg, idx) in messages" :key="idx">
      {{ msg }}
    </div>
  </div>
</template>

<script>
export default {
  data() {
    return {
      ws: null,
      messages: [],
    };
  },
  mounted() {
    this.ws = new WebSocket("ws://localhost:8000/ws/connect");
    this.ws.onmessage = (event) => {
      const data = JSON.parse(event.data);
      this.messages.push(data);
    };
  },
  beforeUnmount() {
    if (this.ws) {
      this.ws.close();
    }
  },
  methods: {
    sendMessage() {
      if (this.ws) {
        this.ws.send(
          JSON.stringify({
            action: "message",
            data: { content: "Hello from Vue!" },
          })
        );
      }
    },
  },
};
</script>
`;

const SHOW_REACT = `
import { createRoot } from 'react-dom/client';
const root = createRoot(document.getElementById('root'));
root.render(<WebSocketComponent />);
window.leave = () => root.unmount();
`;

const SHOW_VUE = `
import { createApp } from 'vue';
const app = createApp({ ...component, render });
app.mount('#root');
window.leave = () => app.unmount();
`;

function vue(): string {
  const { descriptor } = parse(VUE);
  const template = compileTemplate({ source: descriptor.template!.content, filename: 'sample.vue', id: 'sample' });
  return descriptor.script!.content.replace('export default', 'const component =') + template.code + SHOW_VUE;
}

/** react.html and vue.html in that directory. */
export async function buildSamples(pages: string): Promise<void> {
  for (const [name, contents] of [['react', REACT + SHOW_REACT], ['vue', vue()]] as const) {
    await build({
      stdin: { contents, loader: 'jsx', resolveDir: resolve(import.meta.dirname, '../..') },
      outfile: join(pages, name + '.js'),
      bundle: true,
      format: 'esm',
      jsx: 'automatic',
      define: {
        'process.env.NODE_ENV': '"production"',
        __VUE_OPTIONS_API__: 'true',
        __VUE_PROD_DEVTOOLS__: 'false',
        __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
      },
    });
    writeFileSync(join(pages, name + '.html'), `<!doctype html><div id="root"></div><script type="module" src="/${name}.js"></script>`);
  }
}
