// Starts the console: preferences first, so that the first frame has the right colours, then the session.
import "uplot/dist/uPlot.min.css";
import "./style/tokens.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/screens.css";
import { render } from "preact";
import { begin, door, followLoginLinks } from "./api/session";
import { followClock } from "./base/clock";
import { followPreferences } from "./base/preferences";
import { followRoute } from "./base/route";
import { Frame } from "./frame/frame";
import { Login } from "./frame/login";

function App() {
  switch (door.value) {
    case "asking": return null;
    case "in": return <Frame />;
    case "shut": case "unreachable": return <Login />;
  }
}

followPreferences();
followRoute();
followClock();
followLoginLinks();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
void begin();
