/* What the admin's templates ask of Alpine by name. Alpine's build for a strict content
   security policy knows no globals, so each is told to it. */
document.addEventListener("alpine:init", () => {
  "use strict";
  Alpine.data("theme", theme);
  Alpine.data("searchForm", searchForm);
  Alpine.data("searchDropdown", searchDropdown);
  Alpine.data("shell", () => ({
    activeTab: "",
    sidebarMobileOpen: false,
    // The form of the admin keeps its address with the open tab.
    window: { location: { pathname: location.pathname, search: location.search } },
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    init() {
      const first = this.$el.dataset.tab;
      this.activeTab = first ? getCurrentTab() || first : "";
    },
    toggleSidebar() {
      this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
      localStorage.setItem("sidebarDesktopOpen", this.sidebarDesktopOpen ? "1" : "0");
    },
  }));
});
