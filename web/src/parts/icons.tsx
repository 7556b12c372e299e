// Line icons, 20 x 20, drawn in the text's colour. Decoration: what they mean is always said in words too.
import type { Screen } from "../base/route";

const kScreens: Record<Screen, string> = {
  overview: "M3 11h5V3H3zM12 17h5V9h-5zM12 6h5V3h-5zM3 17h5v-3H3z",
  deploy: "M10 13V3M6 7l4-4 4 4M3 12v5h14v-5",
  playground: "M3 4h14v10H9l-4 3v-3H3z",
  usage: "M3 17h14M5.5 14V9M10 14V4M14.5 14v-3",
  cost: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM7.2 6.2 10 10l2.8-3.8M10 10v4.3M7.5 10.2h5M7.5 12.2h5",
  keys: "M12.5 11.5a4 4 0 1 0-4-4c0 .5.1 1 .3 1.5L3 14.8V17h3v-2h2v-2h1.5l1.5-1.8c.5.2 1 .3 1.5.3zM13.5 6.5h.01",
  logs: "M4 5h12M4 10h12M4 15h7",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
};

function Icon({ path }: { path: string }) {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"
      stroke-linejoin="round" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

export const ScreenIcon = ({ screen }: { screen: Screen }) => <Icon path={kScreens[screen]} />;
export const MoreIcon = () => <Icon path="M4.5 10h.01M10 10h.01M15.5 10h.01" />;
export const ChevronIcon = ({ isUp }: { isUp: boolean }) => <Icon path={isUp ? "M5 12.5 10 7.5l5 5" : "M5 7.5l5 5 5-5"} />;
export const SunIcon = () => (
  <Icon path="M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6 16 16M4 16l1.4-1.4M14.6 5.4 16 4" />
);
export const MoonIcon = () => <Icon path="M16.5 12.3A7 7 0 0 1 7.7 3.5a7 7 0 1 0 8.8 8.8z" />;
