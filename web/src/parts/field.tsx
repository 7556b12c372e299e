// Labelled inputs of forms.
import type { ComponentChildren } from "preact";

interface Text {
  label: string;
  value: string;
  set: (value: string) => void;
  hint?: string;
  type?: "text" | "password" | "search";
  placeholder?: string;
}

export function TextField({ label, value, set, hint, type = "text", placeholder = "" }: Text) {
  return (
    <label class="field">
      {label}
      <input type={type} value={value} placeholder={placeholder} autocomplete="off" spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)} />
      {hint !== undefined && <span class="small">{hint}</span>}
    </label>
  );
}

interface Amount {
  label: string;
  value: number;
  set: (value: number) => void;
  least: number;
  most: number;
  step?: number;
}

// What is no number, or beyond its bounds, stays in the box and is not taken.
export function NumberField({ label, value, set, least, most, step = 1 }: Amount) {
  const take = (text: string): void => {
    const number = Number(text);
    if (text.trim() !== "" && Number.isFinite(number) && number >= least && number <= most) set(number);
  };
  return (
    <label class="field">
      {label}
      <input type="number" value={value} min={least} max={most} step={step}
        onInput={(event) => take(event.currentTarget.value)} />
    </label>
  );
}

interface Select {
  label: string;
  value: string;
  set: (value: string) => void;
  options: { value: string; text: string }[];
}

export function SelectField({ label, value, set, options }: Select) {
  return (
    <label class="field">
      {label}
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        {options.map((one) => <option key={one.value} value={one.value}>{one.text}</option>)}
      </select>
    </label>
  );
}

interface Check {
  isOn: boolean;
  set: (isOn: boolean) => void;
  hint?: string;
  children: ComponentChildren;
}

export function CheckField({ isOn, set, hint, children }: Check) {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={(event) => set(event.currentTarget.checked)} />
      <span>
        {children}
        {hint !== undefined && <span class="small soft"> {hint}</span>}
      </span>
    </label>
  );
}
