import type { ItWords } from './words';

export const ja: ItWords = {
  title: 'ステーションの準備はできていますか',
  back: 'ラインに戻る',
  again: 'もう一度確認',
  loading: 'ステーションを確認中',
  notRead: { title: 'ステーションが応答しません', sentence: '少し待ってからやり直してください。' },
  notYours: { title: 'IT 担当者用', sentence: '先にバッジを読み取り、PIN を入力してください。' },
  all: (level, toDo, findings) => (level === 'ok' ? `準備完了：${findings} 件すべて正常` : `${findings} 件中 ${toDo} 件に対応が必要`),
  level: { ok: '正常', warn: '要確認', fail: '作業不可' },
  check: {
    usb_endpoints: 'USB コントローラー', port: 'ポート', disk: 'ディスク', swap: 'スワップ', tpm: 'TPM', clock: '時計', hub: 'ハブ',
  },
  act: {
    usb_endpoints: 'プローブの一部を別のコントローラーに差してください。',
    port: 'ケーブルとポートの権限を確認してください。',
    disk: 'ディスクの空きを増やしてください。',
    swap: 'このコンピューターのスワップを切ってください。',
    tpm: 'ファームウェア設定で TPM を有効にし、ステーションの秘密を封印してください。',
    clock: 'ハブに接続するか、USB メモリーで時刻を運んでください。',
    hub: 'ネットワークケーブルとハブのアドレスを確認してください。',
  },
  more: '次へ',
  fewer: '先頭へ',
};
